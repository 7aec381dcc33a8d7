"""Pure JAX: init, apply and loss per model; no files, no clocks."""
