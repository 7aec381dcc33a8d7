"""Our lists against the peers' under one protocol: `make bench-quality [STREAMS=DIR] [ARGS="--only NAME --tune"]`.

Both MovieLens streams are fetched; each DIR/NAME/events.parquet, with its items.parquet, is added. Each system's ranks
of a stream are kept in bench/out/quality/STREAM, so a run that was killed goes on where it was. Peers' settings come
from bench/peers/chosen.json, found with --tune on the warm-up half; a stream that is not in it is tuned first.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environment
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from bars import OUT, Bar, at_least, write
from rich.console import Console
from rich.table import Table

from rec_assets import datasets, durable, metrics

sys.path.append(str(environment.PEERS))
import protocol

ROOT = environment.ROOT
CHOSEN = environment.PEERS / "chosen.json"
PEERS = (
    *("popularity", "popularity_last_days", "popularity_decayed", "item_knn", "co_visitation", "v_sknn"),
    *("ease", "als", "bpr", "river", "sasrec_once", "sasrec_every_5"),
)
OURS = ("online", "frozen")
NEW = 5  # a user or item with fewer events before the scored one is new
GEOMETRIC = {"hit@20": 1.43, "ndcg@10": 1.52}
Ranks = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """How a stream is evaluated, the best simple peer's published figures, and ours over them."""

    arguments: tuple[str, ...]
    best: Mapping[str, float]
    bars: Mapping[str, float]
    over_frozen: float = 1.05


def _measured(arguments: str, best: tuple[float, float], bars: tuple[float, float], frozen: float = 1.05) -> Measured:
    names = ("hit@20", "ndcg@10")
    return Measured(
        tuple(arguments.split()), dict(zip(names, best, strict=True)), dict(zip(names, bars, strict=True)), frozen
    )


STREAMS = {
    "movielens-100k": _measured("--batches 50 --sample-every 4", (0.275, 0.094), (1.30, 1.30)),
    "movietweetings-140k": _measured("--batches 20 --sample-every 8", (0.276, 0.115), (1.20, 1.37), 1.5),
    "ml-latest-small": _measured("--batches 20 --sample-every 8", (0.116, 0.043), (1.58, 1.65)),
    "uci-online-retail": _measured(
        "--batches 20 --sample-every 16 --repeats --kinds purchase", (0.149, 0.054), (1.84, 1.95)
    ),
    "movielens-1m": _measured("--batches 20 --sample-every 20", (0.331, 0.124), (1.30, 1.34)),
}
OTHER = ("--batches", "20", "--sample-every", "8")
console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=Path, help="a folder of NAME/events.parquet")
    parser.add_argument("--only", help="these streams, comma-separated")
    parser.add_argument("--peers", default=",".join(PEERS), help="these peers, comma-separated")
    parser.add_argument(
        "--tune", action="store_true", help="find the peers' settings anew, into bench/peers/chosen.json"
    )
    parser.add_argument("--ours", type=Path, help="a folder of NAME.parquet, as `rec evaluate --ranks` wrote them")
    parser.add_argument("--kept", action="store_true", help="run nothing: tables and bars of what there is")
    asked = parser.parse_args()
    peers = [name for name in PEERS if name in asked.peers.split(",")]
    found = []
    for name, folder in streams(asked.streams, asked.only).items():
        out = OUT / "quality" / name
        out.mkdir(parents=True, exist_ok=True)
        if not asked.kept:
            for peer in peers:
                run_peer(name, folder, peer, out, asked.tune)
            if asked.ours is None and not (out / "ours.parquet").exists():
                run_ours(name, folder, out)
        ours = out / "ours.parquet" if asked.ours is None else asked.ours / f"{name}.parquet"
        found.append(compare(name, folder, out, ours))
        show(found[-1])
    plot(found)
    if not asked.kept or found:
        write("quality", bars(found), streams=found)


def streams(folder: Path | None, only: str | None) -> dict[str, Path]:
    """Name -> folder of each stream there is, the smallest first; missing ones are named."""
    wanted = only.split(",") if only else None
    there = {
        name: datasets.fetch(name, ROOT / "data" / "datasets", console)
        for name in ("movielens-100k", "movielens-1m")
        if wanted is None or name in wanted
    }
    for path in sorted(folder.glob("*/events.parquet")) if folder else ():
        if wanted is None or path.parent.name in wanted:
            there[path.parent.name] = path.parent
    if missing := [name for name in wanted or STREAMS if name not in there]:
        console.print(f"[yellow]not measured, no such stream:[/] {', '.join(missing)} (STREAMS=DIR adds DIR/NAME)")
    return dict(sorted(there.items(), key=lambda item: pq.read_metadata(item[1] / "events.parquet").num_rows))


def arguments(name: str) -> tuple[str, ...]:
    """The protocol's options for a stream, as both `rec evaluate` and the peers take them."""
    return STREAMS[name].arguments if name in STREAMS else OTHER


def run_peer(name: str, folder: Path, peer: str, out: Path, tune: bool) -> None:
    """Tune a peer where it is asked for or was never done, and run it where it has no result with these settings."""
    chosen = json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}
    runner = [str(environment.python()), str(environment.PEERS / "run.py"), str(folder / "events.parquet")]
    options = ["--peer", peer, *arguments(name)]
    if tune or peer not in chosen.get(name, {}):
        tuned = out / f"tuned-{peer}"
        if tune or not tuned.with_suffix(".json").exists():
            call([*runner, str(tuned), "--tune", *options])
        settings = json.loads(tuned.with_suffix(".json").read_text())["settings"]
        if tune or name in STREAMS:
            chosen.setdefault(name, {})[peer] = settings
            durable.replace(CHOSEN, (json.dumps(chosen, indent=1) + "\n").encode())
    else:
        settings = chosen[name][peer]
    result = out / f"{peer}.json"
    if result.exists() and json.loads(result.read_text())["settings"] == settings:
        return
    call([*runner, str(out / peer), *options, "--settings", json.dumps(settings)])


def run_ours(name: str, folder: Path, out: Path) -> None:
    """`rec evaluate` of the systems that are compared."""
    beside, items = out / "ours.unfinished", folder / "items.parquet"
    called = [str(Path(sys.executable).with_name("rec")), "evaluate", str(folder / "events.parquet")]
    content = ["--items", str(items)] if items.exists() else []
    files = ["--out", str(out / "ours.json"), "--ranks", str(beside)]
    call([*called, *content, *files, "--systems", ",".join(OURS), *arguments(name)])
    beside.rename(out / "ours.parquet")


def call(command: list[str]) -> None:
    """Run it with its own progress shown; CalledProcessError where it fails."""
    console.print(" ".join(Path(part).name if part.startswith("/") else part for part in command), highlight=False)
    subprocess.run(command, check=True, env=environment.surroundings())


def compare(name: str, folder: Path, out: Path, ours: Path) -> dict[str, Any]:
    """All systems' figures on a stream, and ours over the best peer and over frozen with paired intervals."""
    ranks, seconds = {}, {}
    positions: npt.NDArray[np.int64] | None = None
    if ours.exists():
        table = pq.read_table(ours)
        for system in OURS:
            rows = table.filter(pc.equal(table["system"], system))
            if len(rows):
                positions, ranks[system] = rows["position"].to_numpy(), rows["rank"].to_numpy()
    for peer in PEERS:
        if (out / f"{peer}.json").exists():
            table = pq.read_table(out / f"{peer}.parquet")
            if positions is None:
                positions = table["position"].to_numpy()
            if not np.array_equal(positions, table["position"].to_numpy()):
                raise ValueError(
                    f"{peer} was scored at other positions of {name} than ours: remove {out} and run again"
                )
            ranks[peer] = table["rank"].to_numpy()
            seconds[peer] = json.loads((out / f"{peer}.json").read_text())["fit_seconds"]
    systems: list[dict[str, Any]] = [
        {"system": system, "fit_seconds": seconds.get(system), **metrics.summary(of)} for system, of in ranks.items()
    ]
    found: dict[str, Any] = {"stream": name, "arguments": " ".join(arguments(name)), "systems": systems, "over": {}}
    peers = [system for system in systems if system["system"] in PEERS]
    if "online" in ranks and peers and positions is not None:
        for figure in ("hit@20", "ndcg@10"):
            best = max(peers, key=lambda system: system[figure])["system"]
            found["over"][figure] = {"best_peer": best, **over(ranks["online"], ranks[best], figure)}
            found["over"][figure]["splits"] = {
                split: over(ranks["online"][mask], ranks[best][mask], figure)
                for split, mask in splits(name, folder, positions).items()
                if (ranks["online"][mask] <= 20).any() or (ranks[best][mask] <= 20).any()
            }
    if "frozen" in ranks and "online" in ranks:
        found["over_frozen"] = over(ranks["online"], ranks["frozen"], "hit@20")
    return found


def over(ours: Ranks, theirs: Ranks, figure: str) -> dict[str, float]:
    """Ratio of the figures and its paired 95 % interval."""
    value = (
        (lambda ranks: (ranks <= 20).astype(float)) if figure == "hit@20" else (lambda ranks: metrics.gains(ranks, 10))
    )
    ratio, low, high = metrics.paired_ratio(value(ours), value(theirs), seed=0)
    return {"n": len(ours), "ratio": ratio, "low": low, "high": high}


def splits(name: str, folder: Path, positions: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Scored events by whether user and item were new."""
    kinds = arguments(name)[arguments(name).index("--kinds") + 1] if "--kinds" in arguments(name) else None
    events = protocol.read(folder / "events.parquet", protocol.Options(kinds=kinds))
    order = np.argsort(events.item, kind="stable")
    first = np.searchsorted(events.item[order], events.item[order])
    before = np.empty(len(events), np.int64)
    before[order] = np.arange(len(events)) - first
    user, item = events.before[positions] < NEW, before[positions] < NEW
    return {"new users": user, "old users": ~user, "new items": item, "old items": ~item}


def bars(found: list[dict[str, Any]]) -> list[Bar]:
    """What the streams of the table have to reach; a stream or figure that is missing is not met."""
    kept: list[Bar] = []
    by_name = {one["stream"]: one for one in found}
    ratios: dict[str, list[float]] = {figure: [] for figure in GEOMETRIC}
    for name, measured in STREAMS.items():
        one = by_name.get(name, {"systems": [], "over": {}})
        online = next((system for system in one["systems"] if system["system"] == "online"), None)
        for figure, best in measured.best.items():
            ratio = online[figure] / best if online else None
            ratios[figure].extend([ratio] if ratio is not None else [])
            kept.append(at_least(f"{name}: {figure} / {best:g}", ratio, measured.bars[figure]))
            measured_over = one["over"].get(figure)
            low = measured_over["low"] if measured_over else None
            kept.append(above(f"{name}: {figure} / best peer's, low end", low))
            parts = measured_over["splits"].values() if measured_over else ()
            highest = min((part["high"] for part in parts), default=None)
            kept.append(at_least(f"{name}: {figure} / best peer's, lowest split's high end", highest, 1.0))
        frozen = one.get("over_frozen")
        kept.append(at_least(f"{name}: hit@20 / frozen", frozen["ratio"] if frozen else None, measured.over_frozen))
        kept.append(above(f"{name}: hit@20 / frozen, low end", frozen["low"] if frozen else None))
    for figure, target in GEOMETRIC.items():
        whole = len(ratios[figure]) == len(STREAMS)
        mean = float(np.exp(np.mean(np.log(ratios[figure])))) if whole else None
        kept.append(above(f"geometric mean of {figure} / table", mean, target))
    return kept


def above(name: str, value: float | None, limit: float = 1.0) -> Bar:
    """A bar that holds while the value is above the limit."""
    return Bar(name, value, f"> {limit:g}", value is not None and value > limit)


def show(found: dict[str, Any]) -> None:
    """One stream's table, best hit@20 first."""
    table = Table(title=f"{found['stream']}  {found['arguments']}")
    for column in ("system", "n", "hit@20", "NDCG@10", "fit s"):
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    for system in sorted(found["systems"], key=lambda one: -one["hit@20"]):
        fit = "" if system["fit_seconds"] is None else f"{system['fit_seconds']:,.0f}"
        figures = f"{system['hit@20']:.3f}", f"{system['ndcg@10']:.3f}", fit
        table.add_row(system["system"], f"{system['n']:,.0f}", *figures)
    out = Console()
    out.print(table)
    for figure, one in found["over"].items():
        out.print(f"online / {one['best_peer']}, {figure}: {one['ratio']:.2f} ({one['low']:.2f} to {one['high']:.2f})")


def plot(found: list[dict[str, Any]]) -> None:
    """hit@20 of every system, one row of bars per stream, in bench/out/quality.png."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    if not found:
        return
    figure, axes = plt.subplots(1, len(found), figsize=(3.2 * len(found), 4.2), squeeze=False, layout="constrained")
    for axis, one in zip(axes[0], found, strict=True):
        ordered = sorted(one["systems"], key=lambda system: system["hit@20"])
        colours = ["#c44e52" if system["system"] in OURS else "#8c9bb0" for system in ordered]
        bars_ = axis.barh([s["system"] for s in ordered], [s["hit@20"] for s in ordered], color=colours)
        axis.bar_label(bars_, fmt="%.3f", fontsize=7, padding=2)
        axis.set_title(one["stream"], fontsize=9)
        axis.tick_params(labelsize=7)
        axis.margins(x=0.18)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("hit@20", fontsize=9)
    figure.savefig(OUT / "quality.png", dpi=130)


if __name__ == "__main__":
    main()
