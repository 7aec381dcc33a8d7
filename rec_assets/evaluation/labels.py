"""What the heads told of events before they learnt from them, against what these turned out to be."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from rec_assets import metrics
from rec_assets.features.tags import kind_code
from rec_assets.training.heads import Observed, Told

LIKED = "liked"  # a rating that is no lower than the mean of all before it
EXPECTED = "rating_value"  # what a rating is


def figures(observed: list[Observed], told: list[Told], kinds: Iterable[str]) -> dict[str, Any]:
    """Per kind, where there are several, and for ratings: accuracy, precision, recall, F1, AUC, log loss and
    calibration of the chances; the error of the expected rating beside that of the mean of all. Empty where no event
    has a label.
    """
    if not sum(len(each.kind) for each in observed):
        return {}
    kind = np.concatenate([each.kind for each in observed])
    rating = np.concatenate([each.rating for each in observed])
    rated = np.isfinite(rating)
    chances = np.concatenate([each.kinds for each in told]).astype(np.float64)
    present = {name: kind_code(name) for name in sorted(kinds) if (kind == kind_code(name)).any()}
    found = {name: _binary(chances[:, code], kind == code) for name, code in present.items() if len(present) > 1}
    if rated.any():
        liked = np.concatenate([each.liked for each in observed])[rated]
        expected = np.concatenate([each.rating for each in told])[rated]
        found[LIKED] = _binary(np.concatenate([each.liked for each in told])[rated].astype(np.float64), liked)
        mean = np.full(len(expected), rating[rated].mean())
        errors = {"rmse": metrics.rmse(expected, rating[rated]), "rmse_of_mean": metrics.rmse(mean, rating[rated])}
        found[EXPECTED] = {"n": int(rated.sum()), **errors}
    return found


def _binary(chances: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {**metrics.binary(chances, labels), "bins": metrics.calibration(chances, labels)}


def draw(axis: Axes, labels: dict[str, Any]) -> None:
    """How often something was so, by the chance that was told."""
    axis.set_xlabel("chance told")
    axis.set_ylabel("share that was so")
    axis.grid(alpha=0.25)
    axis.plot([0, 1], [0, 1], color="#6c757d", linewidth=0.8)
    for name, bins in ((name, found["bins"]) for name, found in labels.items() if "bins" in found):
        axis.plot([row["chance"] for row in bins], [row["share"] for row in bins], marker="o", markersize=3, label=name)
