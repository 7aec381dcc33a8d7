"""The one optimizer of encoder, rows and ranker."""

import optax

WEIGHT_DECAY = 1e-4


def optimizer() -> optax.GradientTransformation:
    """AdamW without its rate, which a step is given as a number: it changes and must not compile anew."""
    return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(WEIGHT_DECAY))
