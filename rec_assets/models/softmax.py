"""Cross-entropy over many rows, with its gradients taken while the probabilities are at hand.

Autodiff writes the probabilities [T, R] and reads them again several times, which costs more than the products. Here
they are written once, never normalised: what a target's sum is goes into the small factors [T, D].
"""

import jax
import jax.numpy as jnp

from rec_assets.models.products import einsum

Gradients = tuple[jax.Array, jax.Array, jax.Array]


@jax.custom_vjp
def softmax_loss(
    users: jax.Array, vectors: jax.Array, bias: jax.Array, targets: jax.Array, weight: jax.Array
) -> jax.Array:
    """Σ weight · −log softmax(users · vectorsᵀ + bias)[targets], a scalar in nats.

    `users` [T, D], `vectors` [R, D], `bias` [R] (-inf: no choice), `targets` int32 [T], `weight` [T]. No gradient
    goes to `weight`.
    """
    return _forward(users, vectors, bias, targets, weight)[0]


def _forward(
    users: jax.Array, vectors: jax.Array, bias: jax.Array, targets: jax.Array, weight: jax.Array
) -> tuple[jax.Array, Gradients]:
    logits = einsum("td,rd->tr", users, vectors) + bias
    largest = logits.max(axis=1)
    exps = jnp.exp(logits - largest[:, None])  # [T, R]
    total = exps.sum(axis=1)
    chosen = jnp.sum(users * vectors[targets], axis=1) + bias[targets]
    each = jnp.where(weight > 0, largest + jnp.log(total) - chosen, 0.0)
    share = weight / total
    weighted = users * weight[:, None]
    to_users = einsum("tr,rd->td", exps, vectors) * share[:, None] - vectors[targets] * weight[:, None]
    to_vectors = einsum("td,tr->dr", users * share[:, None], exps).T.at[targets].add(-weighted)
    to_bias = jnp.dot(share, exps).at[targets].add(-weight)
    return jnp.sum(each * weight), (to_users, to_vectors, to_bias)


def _backward(gradients: Gradients, outer: jax.Array) -> tuple[jax.Array | None, ...]:
    to_users, to_vectors, to_bias = gradients
    return outer * to_users, outer * to_vectors, outer * to_bias, None, None


softmax_loss.defvjp(_forward, _backward)
