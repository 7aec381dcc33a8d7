"""Papers' protocol: the encoder alone, leave-one-out on MovieLens 1M, the whole catalogue ranked, ties by half.

`make bench-papers [ARGS="--passes 40"]`. Each user's last event is the test, the one before it chooses the pass that is
kept. Beside it stand NDCG@10 of HSTU and SASRec as RecTools reproduced them under this protocol.
"""

import argparse
import time

import streams
from bars import at_least, at_most, write
from rich.console import Console

from rec_assets import metrics
from rec_assets.evaluation import leave_one_out
from rec_assets.settings import TrainConfig

CONFIG = TrainConfig(window=200, encoder_rate=4e-3, encoder_update_rate=4e-4)
THEIRS = {"HSTU": 0.188, "SASRec": 0.162}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=40, help="over all training events")
    passes = parser.parse_args().passes
    console = Console(stderr=True)
    stream = streams.read("movielens-1m", console)
    told = ""

    def progress(what: str, _done: float) -> None:
        nonlocal told
        if what != told:
            told = what
            console.print(f"{time.process_time() / 60:5.1f} min of CPU: {what}")

    outcome = leave_one_out.run(stream, CONFIG, leave_one_out.Options(passes, ("encoder",)), progress)
    ranks = outcome.ranks["encoder"]
    cpu = time.process_time() / 60
    bars = [
        at_least("NDCG@10 of the encoder", metrics.ndcg(ranks, 10), 0.17),
        at_most("training and testing", outcome.seconds / 60, 60, "min"),
    ]
    figures = {"ndcg@10": {"encoder": metrics.ndcg(ranks, 10)} | THEIRS, "encoder": metrics.summary(ranks)}
    write("papers", bars, **figures, passes=outcome.passes, minutes=outcome.seconds / 60, cpu_minutes=cpu)
    beside = ", ".join(f"{name} {value:.3f}" for name, value in THEIRS.items())
    console.print(f"NDCG@10 {metrics.ndcg(ranks, 10):.4f} beside {beside}, hit@10 {metrics.hit(ranks, 10):.4f}")
    console.print(f"{outcome.passes} passes in {outcome.seconds / 60:.0f} min, {cpu:.0f} min of CPU")


if __name__ == "__main__":
    main()
