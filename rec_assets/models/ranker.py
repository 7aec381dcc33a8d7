"""The ranker: which of an event's candidates is chosen, s = x·(w + G·c) + MLP(x, c).

N events, C candidates each, F features x of a candidate, K of the event's context c; float32. Inputs are standardised
with what was measured on the warm-up and clipped, so that a feature that drifts cannot run away with the score.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rec_assets.models.arrays import Array

CLIP = 5.0
HIDDEN = (48, 24)


class Params(NamedTuple):
    """What is learnt."""

    weight: jax.Array  # [F]
    by_context: jax.Array  # [F, K]
    features: jax.Array  # [F, 48]
    context: jax.Array  # [K, 48]
    bias: jax.Array  # [48]
    middle: jax.Array  # [48, 24]
    middle_bias: jax.Array  # [24]
    out: jax.Array  # [24]


class Scaling(NamedTuple):
    """Mean and one over the standard deviation of each input, measured once."""

    feature_mean: Array  # [F]
    feature_scale: Array  # [F]
    context_mean: Array  # [K]
    context_scale: Array  # [K]


class Batch(NamedTuple):
    """Standardised examples."""

    features: Array  # [N, C, F]
    context: Array  # [N, K]
    # [N, C] added to the scores in the loss: log of how many left-out candidates one stands for, -inf on padding
    correction: Array
    target: Array  # [N] int32 column of what was chosen
    weight: Array  # [N] 0 where nothing is to be learnt


def init(key: jax.Array, features: int, context: int) -> Params:
    """New parameters; all candidates score alike until something is learnt."""
    first, second, third = jax.random.split(key, 3)
    wide, narrow = HIDDEN
    spread = (features + context) ** -0.5
    return Params(
        weight=jnp.zeros(features),
        by_context=jnp.zeros((features, context)),
        features=jax.random.normal(first, (features, wide)) * spread,
        context=jax.random.normal(second, (context, wide)) * spread,
        bias=jnp.zeros(wide),
        middle=jax.random.normal(third, (wide, narrow)) * wide**-0.5,
        middle_bias=jnp.zeros(narrow),
        out=jnp.zeros(narrow),
    )


def standardise(x: Array, mean: Array, scale: Array) -> jax.Array:
    """Within ±CLIP standard deviations of the mean."""
    return jnp.clip((x - mean) * scale, -CLIP, CLIP)


def apply(params: Params, features: Array, context: Array) -> jax.Array:
    """Scores [N, C] of standardised inputs."""
    linear = jnp.einsum("ncf,nf->nc", features, params.weight + context @ params.by_context.T)
    hidden = jax.nn.gelu(features @ params.features + (context @ params.context + params.bias)[:, None])
    return linear + jax.nn.gelu(hidden @ params.middle + params.middle_bias) @ params.out


@jax.jit
def score(params: Params, scaling: Scaling, features: Array, context: Array, items: Array) -> jax.Array:
    """Scores [N, C] of raw inputs; -inf where `items` [N, C] is -1."""
    x = standardise(features, scaling.feature_mean, scaling.feature_scale)
    c = standardise(context, scaling.context_mean, scaling.context_scale)
    return jnp.where(items >= 0, apply(params, x, c), -jnp.inf)


def losses(params: Params, batch: Batch) -> jax.Array:
    """Cross-entropy [N] in nats of what was chosen among its candidates."""
    scores = apply(params, batch.features, batch.context) + batch.correction
    each: jax.Array = optax.softmax_cross_entropy_with_integer_labels(scores, batch.target)
    return each


def loss(params: Params, batch: Batch) -> jax.Array:
    """Weighted mean of `losses`, a scalar; 0 when all is padding."""
    each = losses(params, batch)
    return jnp.sum(jnp.where(batch.weight > 0, each, 0.0) * batch.weight) / jnp.maximum(jnp.sum(batch.weight), 1.0)
