"""The simplest model: y = f(W·x + b) under plain gradient descent, the floor of every table.

N rows, X inputs, Y outputs; float32. With the squared error ½·Σ(y − ŷ)² and f the identity, ∂L/∂W = −Σ (y − ŷ)·x;
with cross-entropy and f the logistic function the gradient reads the same. So W ← W + α·Σ (y − ŷ)·x in both.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

LOSSES = ("squared", "cross_entropy")


class Params(NamedTuple):
    """The weights."""

    weight: jax.Array  # [Y, X]
    bias: jax.Array  # [Y]


def init(inputs: int, outputs: int) -> Params:
    """All zero: the loss is convex, so nothing has to be broken up by chance."""
    return Params(jnp.zeros((outputs, inputs)), jnp.zeros(outputs))


def apply(params: Params, x: jax.Array, loss: str = "squared") -> jax.Array:
    """ŷ [N, Y] for x [N, X]: a chance where the loss is cross-entropy."""
    linear = x @ params.weight.T + params.bias
    return jax.nn.sigmoid(linear) if loss == "cross_entropy" else linear


def loss_of(params: Params, x: jax.Array, y: jax.Array, loss: str) -> jax.Array:
    """The sum over rows and outputs: ½·(y − ŷ)², or the cross-entropy in nats."""
    if loss == "squared":
        return 0.5 * jnp.sum((y - apply(params, x)) ** 2)
    return jnp.sum(optax.sigmoid_binary_cross_entropy(x @ params.weight.T + params.bias, y))


@functools.partial(jax.jit, static_argnames=("loss", "learn_bias"))
def step(
    params: Params, x: jax.Array, y: jax.Array, rate: float, loss: str = "squared", learn_bias: bool = True
) -> tuple[Params, jax.Array]:
    """One step of gradient descent at `rate`; the loss returned was taken before it."""
    value, grads = jax.value_and_grad(loss_of)(params, x, y, loss)
    if not learn_bias:
        grads = grads._replace(bias=jnp.zeros_like(grads.bias))
    descent = optax.sgd(rate)
    updates, _ = descent.update(grads, descent.init(params), params)
    return optax.apply_updates(params, updates), value
