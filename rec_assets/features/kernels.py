"""How all loops over plain arrays are compiled, and where that is kept."""

import hashlib
from pathlib import Path

import numba

PACKAGE = Path(__file__).parents[1]
FOLDERS = "features", "ranking", "training", "evaluation"  # that have kernels

kernel = numba.njit(cache=True, nogil=True)


def sources() -> str:
    """A hash of all sources of kernels, 12 hex digits."""
    digest = hashlib.blake2b(digest_size=6)
    for folder in FOLDERS:
        for source in sorted((PACKAGE / folder).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


# Numba compares only the file of the function that it compiled: a change in a kernel that it calls would go unseen. So
# each version of the sources has a folder of its own, named before the first kernel is defined.
numba.config.CACHE_DIR = str(PACKAGE / "__pycache__" / f"kernels-{sources()}")  # type: ignore[attr-defined]  # made while it runs
