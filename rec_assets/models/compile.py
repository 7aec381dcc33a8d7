"""What keeps compilation rare: a cache on disk and few array sizes."""

from pathlib import Path

import jax


def use_cache(directory: Path) -> None:
    """Keep compiled functions in `directory`, for this process and the next ones; a directory set before stays."""
    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]  # JAX makes its flags while it runs
        return
    directory.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def bucket(size: int, least: int = 64) -> int:
    """The smallest size of the series least·{1, 1.5, 2, 3, 4, 6, …} that holds `size` rows."""
    bound = least
    while bound < size:
        if bound + bound // 2 >= size:
            return bound + bound // 2
        bound *= 2
    return bound
