"""Pictures of a report: figures per micro-batch, by what is new, by system."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rec_assets import drawing
from rec_assets.drawing import COLOURS
from rec_assets.evaluation import labels

LINES = ("online", "frozen_weights", "frozen")
OTHERS = "#6c757d"
SMOOTHED = 5  # micro-batches that one point is the mean of
GROUPS = ("new_user", "old_user", "new_item", "old_item")
FIGURE = "hit@20"


def png(report: dict[str, Any]) -> bytes:
    """One row of plots of a prequential report, as `report.build` gives it."""
    systems = {system["system"]: system for system in report["systems"]}
    shown = [name for name in (*LINES, report["best_baseline"]) if name in systems] or list(systems)[:1]
    titles = [
        f"{FIGURE} per micro-batch, a mean over {SMOOTHED}",
        f"{FIGURE} by what is new",
        f"{FIGURE} of every system",
        *(["chances of labels"] if report["labels"] else []),
    ]
    figure, axes = drawing.figure(titles, width=6.0, height=4.2)
    _batches(axes[0], systems, shown)
    _groups(axes[1], systems, shown)
    _alone(axes[2], systems)
    if report["labels"]:
        labels.draw(axes[3], report["labels"])
    return drawing.png(figure, axes)


def _batches(axis: Axes, systems: dict[str, Any], shown: list[str]) -> None:
    axis.set_xlabel("position in the stream")
    axis.grid(alpha=0.25)
    for name in shown:
        points = [(row["end"], row["n"], row[FIGURE]) for row in systems[name]["series"] if row["n"]]
        line = drawing.smoothed(points, SMOOTHED)
        axis.plot(line.x, line.y, label=name, color=COLOURS.get(name, OTHERS))


def _groups(axis: Axes, systems: dict[str, Any], shown: list[str]) -> None:
    axis.grid(alpha=0.25)
    width = 0.8 / max(len(shown), 1)
    for number, name in enumerate(shown):
        values = [systems[name]["groups"][group][FIGURE] or 0.0 for group in GROUPS]
        axis.bar(np.arange(len(GROUPS)) + number * width, values, width, label=name, color=COLOURS.get(name, OTHERS))
    labels = [f"{group.replace('_', ' ')}\nn = {systems[shown[0]]['groups'][group]['n']:,}" for group in GROUPS]
    axis.set_xticks(np.arange(len(GROUPS)) + 0.4 - width / 2, labels)


def _alone(axis: Axes, systems: dict[str, Any]) -> None:
    ordered = sorted(systems.values(), key=lambda system: system[FIGURE] or 0.0)
    names = [system["system"] for system in ordered]
    axis.barh(names, [system[FIGURE] or 0.0 for system in ordered], color=[COLOURS.get(name, OTHERS) for name in names])
    axis.tick_params(axis="y", labelsize=7)
