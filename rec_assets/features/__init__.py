"""The live state: what has happened so far, as plain arrays that one event changes in microseconds.

The trainer, the prequential test, the evaluator and every service worker hold the same state and change it with the
same kernels.
"""

from rec_assets.features.counters import Counters
from rec_assets.features.state import EventArrays, LiveState, init, take_all, to_arrays, update
from rec_assets.features.storage import copy_counters, load, save

__all__ = [
    "Counters",
    "EventArrays",
    "LiveState",
    "copy_counters",
    "init",
    "load",
    "save",
    "take_all",
    "to_arrays",
    "update",
]
