"""RecTools' SASRec, trained once or every so many batches; each event is scored from the history before it."""

import logging
import os
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from protocol import Past
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

os.environ.setdefault("TQDM_DISABLE", "1")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pytorch_lightning")
warnings.filterwarnings("ignore", module="rectools")
FULL_SOFTMAX = 5_000  # items up to which the loss covers the whole catalogue


QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def frame(users: npt.NDArray[np.int64], items: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]) -> Dataset:
    """Events as RecTools takes them: positions stand for times, since sorting by seconds would mix ties."""
    columns = {Columns.User: users, Columns.Item: items, Columns.Weight: 1.0}
    return Dataset.construct(pd.DataFrame(columns | {Columns.Datetime: pd.to_datetime(positions, unit="s")}))


class SasRec:
    """`every` batches it is trained anew on everything before; 0: once. Settings as RecTools names them."""

    def __init__(self, every: int, epochs: int, length: int, rate: float, width: int, seed: int) -> None:
        self.every, self.epochs, self.length, self.rate, self.width = every, epochs, length, rate, width
        self.seed = seed
        self.fits = 0
        self.model: SASRecModel
        self.column: npt.NDArray[np.int64]  # [I] row of the model's item table, 0 for an item it does not know

    def fit(self, past: Past) -> None:
        self.fits += 1
        if self.fits > 1 and (self.every == 0 or (self.fits - 1) % self.every):
            return
        seed_everything(self.seed)
        full = past.events.items <= FULL_SOFTMAX
        self.model = SASRecModel(
            n_blocks=2,
            n_heads=2,
            n_factors=self.width,
            dropout_rate=0.2,
            session_max_len=self.length,
            lr=self.rate,
            batch_size=128,
            epochs=self.epochs,
            loss="softmax" if full else "sampled_softmax",
            n_negatives=256,
            get_trainer_func=lambda: Trainer(max_epochs=self.epochs, **QUIET),
        )
        inside = np.flatnonzero(past.item >= 0)
        self.model.fit(frame(past.user[inside], past.item[inside], inside))
        ids = self.model.data_preparator.item_id_map
        self.column = np.zeros(past.events.items, np.int64)
        known = ids.get_external_sorted_by_internal()[1:].astype(np.int64)
        self.column[known] = np.arange(1, len(known) + 1)

    def scores(self, past: Past, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        sessions = np.zeros((len(positions), self.length), np.int64)
        for row, position in enumerate(positions):
            rows = self.column[past.events.history(position)]
            newest = rows[rows > 0][-self.length :]
            if len(newest):
                sessions[row, -len(newest) :] = newest
        network = self.model.torch_model.eval()
        with torch.inference_mode():
            items = network.item_model.get_all_embeddings()
            users = network.encode_sessions({"x": torch.from_numpy(sessions)}, items)[:, -1, :]
            logits = (users @ items.T).numpy()
        return np.where(self.column > 0, logits[:, self.column], -1e9).astype(np.float32)
