"""How pictures look, those of the running loop and those of an evaluation. A picture is a PNG."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "online": "#2a9d2a",
    "known_good": "#33658a",
    "frozen_weights": "#e09f3e",
    "frozen": "#9e2a2b",
    "popularity": "#6c757d",
}


class Line(NamedTuple):
    """One curve: x are offsets of the log, or positions in a stream."""

    x: list[int]
    y: list[float]


def smoothed(points: Sequence[tuple[int, int, float]], window: int) -> Line:
    """Means of (offset, number of events, value) over the last `window` points, weighted by their events."""
    line = Line([], [])
    for i, (offset, _, _) in enumerate(points):
        seen = points[max(0, i + 1 - window) : i + 1]
        line.x.append(offset)
        line.y.append(sum(n * value for _, n, value in seen) / sum(n for _, n, _ in seen))
    return line


def figure(titles: Sequence[str], width: float = 5.5, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """Axes side by side, each so many inches wide and high."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        drawn = Figure(figsize=(width * len(titles), height), dpi=110, layout="constrained")
        axes = [drawn.add_subplot(1, len(titles), i + 1) for i in range(len(titles))]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left")
    return drawn, axes


def png(figure: Figure, axes: Sequence[Axes]) -> bytes:
    """The picture, with a legend where something has a label."""
    for axis in axes:
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def markdown(picture: bytes) -> str:
    """The picture as Markdown that needs no other file."""
    return f"![](data:image/png;base64,{base64.b64encode(picture).decode()})"
