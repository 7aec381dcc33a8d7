"""Heads beside the ranker: of what kind an event will be, and how it is rated, if it is with this item.

N events, D dimensions of the encoder, S numbers; float32. They read what the encoder says of user and item and never
move it, so that the order of a list is the ranker's alone. One output per code of a kind (binary cross-entropy: the
event is of this kind or not), one for a rating that is no lower than usual (the same), one for the rating itself
(squared error, in standard deviations from the mean).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rec_assets.features.tags import KINDS
from rec_assets.models.arrays import Array

HIDDEN = 32
NUMBERS = ("user_rating", "item_rating", "log_ratings", "logit")
LIKED, RATING = KINDS, KINDS + 1  # the outputs behind those of the kinds
OUTPUTS = KINDS + 2


class Params(NamedTuple):
    """What is learnt."""

    user: jax.Array  # [D, HIDDEN]
    item: jax.Array  # [D, HIDDEN]
    both: jax.Array  # [D, HIDDEN]
    numbers: jax.Array  # [S, HIDDEN]
    before: jax.Array  # [KINDS, HIDDEN]
    last: jax.Array  # [KINDS, HIDDEN]
    bias: jax.Array  # [HIDDEN]
    out: jax.Array  # [HIDDEN, OUTPUTS]
    direct: jax.Array  # [S, OUTPUTS]
    out_bias: jax.Array  # [OUTPUTS]


class Inputs(NamedTuple):
    """What is known just before the event."""

    user: Array  # [N, D] the encoder's vector of the user at that moment
    item: Array  # [N, D] and that of the item
    before: Array  # [N] int32 code of the kind of the user's latest event with the item, 0 for none
    last: Array  # [N] int32 and of the user's latest event at all
    numbers: Array  # [N, S]


class Batch(NamedTuple):
    """What the events turned out to be."""

    inputs: Inputs
    kind: Array  # [N] int32 code
    liked: Array  # [N] 1 or 0
    rating: Array  # [N] standard deviations from the mean
    rated: Array  # [N] 0 where there is no rating
    weight: Array  # [N] 0 on padding


def init(key: jax.Array, dim: int) -> Params:
    """New parameters; every chance is one half, every rating the mean, until something is learnt."""
    keys = jax.random.split(key, 6)

    def normal(number: int, rows: int, scale: float) -> jax.Array:
        return jax.random.normal(keys[number], (rows, HIDDEN)) * scale

    return Params(
        user=normal(0, dim, dim**-0.5),
        item=normal(1, dim, dim**-0.5),
        both=normal(2, dim, dim**-0.5),
        numbers=normal(3, len(NUMBERS), len(NUMBERS) ** -0.5),
        before=normal(4, KINDS, 0.1),
        last=normal(5, KINDS, 0.1),
        bias=jnp.zeros(HIDDEN),
        out=jnp.zeros((HIDDEN, OUTPUTS)),
        direct=jnp.zeros((len(NUMBERS), OUTPUTS)),
        out_bias=jnp.zeros(OUTPUTS),
    )


@jax.jit
def apply(params: Params, inputs: Inputs) -> jax.Array:
    """[N, OUTPUTS]: logits of the kinds and of LIKED, and the RATING in standard deviations from the mean."""
    user, item = unit(inputs.user), unit(inputs.item)
    hidden = user @ params.user + item @ params.item + (user * item) @ params.both + inputs.numbers @ params.numbers
    hidden = jax.nn.gelu(hidden + params.before[inputs.before] + params.last[inputs.last] + params.bias)
    return hidden @ params.out + inputs.numbers @ params.direct + params.out_bias


def unit(x: Array) -> jax.Array:
    """Rows of mean square 1."""
    return jnp.asarray(x) * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)


def loss(params: Params, batch: Batch, kinds: Array) -> jax.Array:
    """Weighted mean over events, a scalar in nats; `kinds` [KINDS] is each kind's weight, 0 for one that is no
    target.
    """
    out = apply(params, batch.inputs)
    of_kind = optax.sigmoid_binary_cross_entropy(out[:, :KINDS], jax.nn.one_hot(batch.kind, KINDS)) @ kinds
    of_rating = optax.sigmoid_binary_cross_entropy(out[:, LIKED], batch.liked)
    of_rating += 0.5 * jnp.square(out[:, RATING] - batch.rating)
    each = of_kind * (kinds[batch.kind] > 0) + of_rating * batch.rated
    return jnp.sum(each * batch.weight) / jnp.maximum(jnp.sum(batch.weight), 1.0)
