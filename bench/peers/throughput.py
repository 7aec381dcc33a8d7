"""Trained positions per second of RecTools' SASRec: `throughput.py EVENTS.npz`, asked for by bench/throughput.py."""

import json
import sys
import time

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rectools.models import SASRecModel
from sasrec import QUIET, frame


class Clock(Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.began = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def main() -> None:
    given = np.load(sys.argv[1])
    settings = {name: int(given[name]) for name in ("width", "blocks", "heads", "length", "epochs")}
    model = SASRecModel(
        n_blocks=settings["blocks"],
        n_heads=settings["heads"],
        n_factors=settings["width"],
        session_max_len=settings["length"],
        dropout_rate=0.2,
        loss="softmax",
        batch_size=128,
        epochs=settings["epochs"],
        get_trainer_func=lambda: Trainer(max_epochs=settings["epochs"], callbacks=[Clock()], **QUIET),
    )
    model.fit(frame(given["user"], given["item"], np.arange(len(given["user"]))))
    loader = model.data_preparator.get_dataloader_train()
    positions = sum(int((batch["y"] != 0).sum()) for batch in loader)
    # RecTools trains with a copy of the trainer, which has a clock of its own.
    [clock] = [each for each in model.fit_trainer.callbacks if isinstance(each, Clock)]
    found = {"positions": positions, "epoch_seconds": clock.seconds, "threads": torch.get_num_threads()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
