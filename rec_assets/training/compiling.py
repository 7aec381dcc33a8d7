"""What is compiled before it is needed: the micro-batch that needs it would take longer than is promised."""

import threading
from collections.abc import Sequence

import numpy as np

from rec_assets.training import gate, heads, online
from rec_assets.training.model import Model


class Compiled:
    """Which sizes the steps of one trainer are compiled for. One thread uses it at a time."""

    def __init__(self) -> None:
        """Nothing is."""
        self._sizes: set[int] = set()  # numbers of rows
        self._thread: threading.Thread | None = None

    def now(self, model: Model) -> None:
        """Compile, or load from the cache, what the next micro-batch needs."""
        model.warm()
        heads.warm(model)
        gate.losses(model, gate.replayed(model, 1, np.random.default_rng(0)))
        self._compile(model, online.row_sizes(len(model.store))[:1])

    def ahead(self, model: Model) -> None:
        """Compile what the store will need as it grows, beside whatever comes next."""
        sizes = [size for size in online.row_sizes(len(model.store)) if size not in self._sizes]
        if sizes and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._compile, args=(model, sizes), name="compile ahead")
            self._thread.start()

    def _compile(self, model: Model, sizes: Sequence[int]) -> None:
        for size in sizes:
            online.warm(model, size)
            self._sizes.add(size)
