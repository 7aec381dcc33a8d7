import itertools

import numpy as np
import pyarrow as pa
import pytest

from rec_assets.registry import Registry

ARRAYS = {"encoder": {"item": np.arange(12, dtype=np.float32).reshape(3, 4), "scale": np.float32(2.5).reshape(())}}


@pytest.fixture
def registry(tmp_path):
    ticks = itertools.count(1_700_000_000_000_000, 1_000_000)
    return Registry(tmp_path / "checkpoints", clock=lambda: next(ticks))


@pytest.fixture
def write(registry):
    """Write a small checkpoint of offsets [start, end)."""

    def write(parent, start, end, **more):
        tables = {"items": pa.table({"item_id": ["a", "b"]})}
        return registry.write(parent, start, end, ARRAYS, tables, more.pop("manifest", {}), log_id="log", **more)

    return write
