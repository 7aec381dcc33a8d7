"""Pictures of a report: figures per micro-batch, by what is new, by source. A plot is a PNG."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

LINES = {
    "online": "#2a9d2a",
    "frozen_weights": "#e09f3e",
    "frozen": "#9e2a2b",
}
OTHERS = "#6c757d"
SMOOTHED = 5  # micro-batches that one point is the mean of
GROUPS = ("new_user", "old_user", "new_item", "old_item")
FIGURE = "hit@20"


def png(report: dict[str, Any]) -> bytes:
    """One row of plots of a prequential report, as `report.build` gives it."""
    systems = {system["system"]: system for system in report["systems"]}
    shown = [name for name in (*LINES, report["best_baseline"]) if name in systems] or list(systems)[:1]
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(18, 4.2), dpi=110, layout="constrained")
        batches, groups, alone = (figure.add_subplot(1, 3, number) for number in (1, 2, 3))
    _batches(batches, systems, shown)
    _groups(groups, systems, shown)
    _alone(alone, systems)
    for axis in (batches, groups):
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _batches(axis: Any, systems: dict[str, Any], shown: list[str]) -> None:
    axis.set_title(f"{FIGURE} per micro-batch, a mean over {SMOOTHED}", loc="left")
    axis.set_xlabel("position in the stream")
    for name in shown:
        rows = [row for row in systems[name]["series"] if row["n"]]
        if not rows:
            continue
        weights = np.array([row["n"] for row in rows], float)
        values = np.array([row[FIGURE] for row in rows]) * weights
        window = np.ones(min(SMOOTHED, len(rows)))
        smooth = np.convolve(values, window, "valid") / np.convolve(weights, window, "valid")
        axis.plot([row["end"] for row in rows][len(window) - 1 :], smooth, label=name, color=LINES.get(name, OTHERS))


def _groups(axis: Any, systems: dict[str, Any], shown: list[str]) -> None:
    axis.set_title(f"{FIGURE} by what is new", loc="left")
    width = 0.8 / max(len(shown), 1)
    for number, name in enumerate(shown):
        values = [systems[name]["groups"][group][FIGURE] or 0.0 for group in GROUPS]
        axis.bar(np.arange(len(GROUPS)) + number * width, values, width, label=name, color=LINES.get(name, OTHERS))
    labels = [f"{group.replace('_', ' ')}\nn = {systems[shown[0]]['groups'][group]['n']:,}" for group in GROUPS]
    axis.set_xticks(np.arange(len(GROUPS)) + 0.4 - width / 2, labels)


def _alone(axis: Any, systems: dict[str, Any]) -> None:
    axis.set_title(f"{FIGURE} of every system", loc="left")
    ordered = sorted(systems.values(), key=lambda system: system[FIGURE] or 0.0)
    names = [system["system"] for system in ordered]
    axis.barh(names, [system[FIGURE] or 0.0 for system in ordered], color=[LINES.get(name, OTHERS) for name in names])
    axis.tick_params(axis="y", labelsize=7)
