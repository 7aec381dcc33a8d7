"""A causal encoder of what a user did, after HSTU (Zhai et al. 2024, arXiv 2402.17152): what comes next.

B sequences, L positions, D dimensions, H heads, R item rows, T targets, K content dimensions; float32 unless said
otherwise. An item's vector is its embedding plus its projected content, so that an item nobody has chosen yet has a
place. A position sees its item, the kind and value of the event, how long until the event to be predicted, and that
one's hour and weekday.
Attention is biased by distance in positions and by log2 bucket of the seconds from a key to the event to be
predicted; as in HSTU a gate takes the feed-forward layer's place, but weights are a softmax, which learnt faster here
than silu.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rec_assets.features.tags import KINDS, VALUES
from rec_assets.models.arrays import Array
from rec_assets.models.products import einsum
from rec_assets.models.softmax import softmax_loss

TIME_BUCKETS = 32
HOUR, DAY = 3_600, 86_400


class Block(NamedTuple):
    """One layer."""

    scale: jax.Array  # [D] of the norm before
    inner: jax.Array  # [D, 4D] to gate, value, query, key
    outer: jax.Array  # [D, D]
    position: jax.Array  # [H, window] bias by distance
    time: jax.Array  # [H, TIME_BUCKETS] bias by elapsed time


class Dense(NamedTuple):
    """All parameters but the items' own."""

    content: jax.Array  # [K, D]
    gap: jax.Array  # [TIME_BUCKETS, D]
    hour: jax.Array  # [24, D]
    weekday: jax.Array  # [7, D]
    kind: jax.Array  # [KINDS, D]
    value: jax.Array  # [VALUES, D]
    blocks: tuple[Block, ...]
    scale: jax.Array  # [D] of the last norm


class Rows(NamedTuple):
    """Item parameters, gathered from the store."""

    embedding: Array  # [R, D]
    bias: Array  # [R]


class Sequences(NamedTuple):
    """Pieces of histories, oldest first, several to a line; a position predicts the event behind it."""

    items: Array  # [B, L] int32 rows, -1 on padding and where nothing came before
    kind: Array  # [B, L] int32 code of the item's event's kind, 0 where it is not told
    value: Array  # [B, L] int32 code of its value, 0 where there is none
    times: Array  # [B, L] int32 seconds of the item, since the piece's first event
    ahead: Array  # [B, L] int32 seconds of the event to be predicted
    hour: Array  # [B, L] int32 0-23 of the event to be predicted
    weekday: Array  # [B, L] int32 0-6
    piece: Array  # [B, L] int32: a position sees its own piece only


class Batch(NamedTuple):
    """A step batch."""

    sequences: Sequences
    positions: Array  # [T] int32 in the flattened [B · L], of what is predicted
    targets: Array  # [T] int32 rows
    weight: Array  # [T] 0 on padding


def init(key: jax.Array, dim: int, blocks: int, heads: int, window: int, content_dim: int) -> Dense:
    """New dense parameters."""
    keys = iter(jax.random.split(key, 4 + 2 * blocks))

    def normal(shape: tuple[int, ...], scale: float) -> jax.Array:
        return jax.random.normal(next(keys), shape) * scale

    return Dense(
        content=normal((content_dim, dim), 0.05),
        gap=normal((TIME_BUCKETS, dim), 0.02),
        hour=normal((24, dim), 0.02),
        weekday=normal((7, dim), 0.02),
        kind=jnp.zeros((KINDS, dim)),
        value=jnp.zeros((VALUES, dim)),
        blocks=tuple(
            Block(
                scale=jnp.ones(dim),
                inner=normal((dim, 4 * dim), dim**-0.5),
                outer=normal((dim, dim), dim**-0.5),
                position=jnp.zeros((heads, window)),
                time=jnp.zeros((heads, TIME_BUCKETS)),
            )
            for _ in range(blocks)
        ),
        scale=jnp.ones(dim),
    )


def item_vectors(dense: Dense, rows: Rows, content: jax.Array) -> jax.Array:
    """[R, D] from embeddings and content [R, K]."""
    return jnp.asarray(rows.embedding) + content @ dense.content


def time_bucket(seconds: Array) -> jax.Array:
    """0 for 0 s or less, else 1 + floor(log2(seconds)); exact, int32 to int32."""
    return TIME_BUCKETS - jax.lax.clz(jnp.maximum(seconds, 0))


def norm(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Layer norm without an offset."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6) * scale


def dropped(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """`x` with a share `rate` of its entries left out and the others scaled up; as it is without a key."""
    if key is None or rate == 0.0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), 0.0)


def attend(block: Block, x: jax.Array, sequences: Sequences, queries: int) -> jax.Array:
    """What the layer adds to the last `queries` positions of x [B, L, D]: [B, queries, D]."""
    _, length, dim = x.shape
    heads, window = block.position.shape
    width = dim // heads
    inner = block.inner.reshape(dim, 4, heads, width)
    parts = jax.nn.silu(einsum("bld,dphe->pbhle", norm(x, block.scale), inner))  # heads outside: dense products
    gate, value, query, key = parts[0, :, :, -queries:], parts[1], parts[2, :, :, -queries:], parts[3]
    at = jnp.arange(length - queries, length)
    distance = at[:, None] - jnp.arange(length)  # [queries, L]
    elapsed = time_bucket(sequences.ahead[:, -queries:, None] - sequences.times[:, None, :])  # [B, queries, L]
    bias = block.position[:, jnp.clip(distance, 0, window - 1)] + jnp.moveaxis(block.time.T[elapsed], -1, 1)
    scores = einsum("bhqe,bhke->bhqk", query * width**-0.5, key) + bias
    same = sequences.piece[:, -queries:, None] == sequences.piece[:, None, :]
    seen = ((distance >= 0) & same & (sequences.items >= 0)[:, None, :])[:, None]
    # Where nothing is seen, nothing is mixed.
    weights = jnp.where(seen, jax.nn.softmax(jnp.where(seen, scores, -1e9), axis=-1), 0.0)
    mixed = einsum("bhqk,bhke->bhqe", weights, value)
    return einsum("bhqe,hed->bqd", norm_heads(mixed) * gate, block.outer.reshape(heads, width, dim))


def norm_heads(x: jax.Array) -> jax.Array:
    """`norm` over heads and width of x [B, H, L, E]."""
    x = x - x.mean(axis=(1, 3), keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(axis=(1, 3), keepdims=True) + 1e-6)


def encode(
    dense: Dense,
    vectors: jax.Array,
    sequences: Sequences,
    queries: int,
    dropout: float = 0.0,
    key: jax.Array | None = None,
) -> jax.Array:
    """User vectors [B, queries, D] at the last `queries` positions; the last layer computes nothing else."""
    keys = [None] * (len(dense.blocks) + 1) if key is None else list(jax.random.split(key, len(dense.blocks) + 1))
    there = (sequences.items >= 0)[..., None]
    x = vectors[jnp.maximum(sequences.items, 0)] * (vectors.shape[1] ** 0.5)
    x = jnp.where(there, x + dense.kind[sequences.kind] + dense.value[sequences.value], 0.0)
    gap = time_bucket(sequences.ahead - sequences.times)
    x = x + dense.gap[gap] + dense.hour[sequences.hour] + dense.weekday[sequences.weekday]
    x = dropped(x, dropout, keys[0])
    for number, block in enumerate(dense.blocks):
        at = queries if number == len(dense.blocks) - 1 else x.shape[1]
        x = x[:, -at:] + dropped(attend(block, x, sequences, at), dropout, keys[number + 1])
    return norm(x, dense.scale)


@jax.jit
def users(dense: Dense, vectors: Array, sequences: Sequences) -> jax.Array:
    """User vectors [B, D] at the last time of each sequence, out of the items' `vectors` [R, D]."""
    return encode(dense, jnp.asarray(vectors), sequences, 1)[:, 0]


def targeted(
    dense: Dense, rows: Rows, content: jax.Array, batch: Batch, dropout: float, key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """User vectors [T, D] where something is to be predicted, and item vectors [R, D]."""
    vectors = item_vectors(dense, rows, content)
    users = encode(dense, vectors, batch.sequences, batch.sequences.items.shape[1], dropout, key)
    return users.reshape(-1, users.shape[-1])[batch.positions], vectors


def losses(dense: Dense, rows: Rows, content: jax.Array, correction: jax.Array, batch: Batch) -> jax.Array:
    """Cross-entropy [T] in nats over the rows given, without dropout. `correction` [R] is what is added to the logits:
    minus the log of the chance that the row was drawn (0 where all rows are there), -inf for one that is no choice.
    """
    users, vectors = targeted(dense, rows, content, batch, 0.0, None)
    each: jax.Array = optax.softmax_cross_entropy_with_integer_labels(
        einsum("td,rd->tr", users, vectors) + rows.bias + correction, batch.targets
    )
    return each


def loss(
    dense: Dense,
    rows: Rows,
    content: jax.Array,
    correction: jax.Array,
    batch: Batch,
    dropout: float,
    key: jax.Array | None,
) -> jax.Array:
    """Weighted mean of `losses`, a scalar; 0 when all is padding."""
    users, vectors = targeted(dense, rows, content, batch, dropout, key)
    share = batch.weight / jnp.maximum(jnp.sum(batch.weight), 1.0)
    return softmax_loss(users, vectors, rows.bias + correction, batch.targets, share)
