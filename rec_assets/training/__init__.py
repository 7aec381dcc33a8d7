"""Test, then train: the online step, the embedding store, replay, the prequential test, the gate, checkpoints."""
