"""Matrix products in the type that the device is made for."""

import jax
import jax.numpy as jnp


def compute_type() -> jnp.dtype:
    """bfloat16 where a GPU was found, else float32."""
    found: jnp.dtype = jnp.dtype(jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    return found


def einsum(subscripts: str, *operands: jax.Array) -> jax.Array:
    """`jnp.einsum` of float32 arrays: multiplied in the compute type, summed in float32."""
    narrow = [x.astype(compute_type()) for x in operands]
    product: jax.Array = jnp.einsum(subscripts, *narrow, preferred_element_type=jnp.float32)
    return product
