"""What a checkpoint knows of one user alone: their share of the replay and of the live state that it carries."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from rec_assets.features import erasure, storage
from rec_assets.registry import Checkpoint
from rec_assets.settings import Kind
from rec_assets.training.checkpoint import REPLAY, STATE, config_of
from rec_assets.training.replay import Replay

NOBODY = -1  # whose material of before there were keys in it is: it may be anybody's


def redact(
    checkpoint: Checkpoint, draft: Path, user_id: str, key: int, log_id: str, kinds: Mapping[str, Kind]
) -> dict[str, int]:
    """Write the checkpoint's files that know of the user into `draft`, without them; returns how much was taken out.

    `key` is the user's in all states of the log `log_id`; of a checkpoint of another log, its own state tells it.
    """
    taken: dict[str, int] = {}
    if any(name.startswith(f"{STATE}/") for name in checkpoint.manifest.files):
        state = storage.load(checkpoint.folder(STATE), config_of(checkpoint), kinds)
        if checkpoint.manifest.log_id != log_id:
            key = state.users.key(user_id)
        if 0 <= key < len(state.users) and state.users.ids[key] == user_id:
            taken = {"ids": 1, **erasure.known(state, key)}
            state.users.take_out(key)
            erasure.clear(state, key)
            (draft / STATE).mkdir()
            storage.save(state, draft / STATE)
    if key >= 0 and f"{REPLAY}.safetensors" in checkpoint.manifest.files:
        replay = Replay.from_arrays(checkpoint.arrays(REPLAY))
        theirs = replay.forget([key, NOBODY])
        taken |= theirs
        if any(theirs.values()):
            arrays = {name: np.require(array, requirements="C") for name, array in replay.to_arrays().items()}
            safetensors.numpy.save_file(arrays, draft / f"{REPLAY}.safetensors")
    return taken
