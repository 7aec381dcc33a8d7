"""What a rank is worth: one copy for the prequential test and the evaluation.

A rank is float64, 1 for the best; ties count half, so it may end in .5; infinity for what could not be ranked at all.
Of each event exactly one item is relevant, so recall@k is hit@k and precision@k is hit@k / k.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

HITS = (1, 5, 10, 20, 50)
GAINS = (10, 20)

WHOLE = 2**62  # as k: ranks are not cut
SHOWN = 20  # of a list, for coverage, novelty and Gini
DRAWS, CHUNK = 2_000, 50  # bootstrap samples, and how many of them are drawn at once

Ranks = npt.NDArray[np.float64]


def hit(ranks: Ranks, k: int) -> float:
    """The share of events whose item is among the first k; nan where there are no events."""
    return float(np.mean(ranks <= k)) if len(ranks) else float("nan")


def recall(ranks: Ranks, k: int) -> float:
    """The same as `hit`: one item is relevant."""
    return hit(ranks, k)


def precision(ranks: Ranks, k: int) -> float:
    """The share of the first k that is relevant."""
    return hit(ranks, k) / k


def f1(ranks: Ranks, k: int) -> float:
    """The harmonic mean of precision and recall at k; 0 where both are."""
    return 2 * hit(ranks, k) / (k + 1)


def ndcg(ranks: Ranks, k: int) -> float:
    """Mean of 1 / log2(1 + rank) of the ranks up to k."""
    return float(np.mean(gains(ranks, k))) if len(ranks) else float("nan")


def gains(ranks: Ranks, k: int) -> Ranks:
    """Each event's part of `ndcg`."""
    return np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0)


def mrr(ranks: Ranks) -> float:
    """Mean of 1 / rank."""
    return float(np.mean(1 / ranks)) if len(ranks) else float("nan")


def summary(ranks: Ranks) -> dict[str, float]:
    """All of the above, as reports name them."""
    figures: dict[str, float] = {"n": float(len(ranks))}
    for k in HITS:
        figures |= {f"hit@{k}": hit(ranks, k), f"recall@{k}": recall(ranks, k)}
        figures |= {f"precision@{k}": precision(ranks, k), f"f1@{k}": f1(ranks, k)}
    return figures | {f"ndcg@{k}": ndcg(ranks, k) for k in GAINS} | {"mrr": mrr(ranks)}


class Exposure:
    """How often each item was in the first SHOWN of a list, and how well known those items were."""

    def __init__(self) -> None:
        self.counts = np.zeros(0, np.int64)  # by item key
        self.information = 0.0  # bits
        self.places = 0

    def add(self, shown: npt.NDArray[np.int32], events: npt.NDArray[np.int64]) -> None:
        """Note lists [m, ≤ SHOWN] of item keys, -1 for none; `events` [items] are each item's before the batch."""
        counts = np.bincount(shown[shown >= 0], minlength=max(len(events), len(self.counts)))
        there = np.flatnonzero(counts)
        share = np.maximum(events[there], 1) / max(events.sum(), 1)
        self.information -= float(np.sum(counts[there] * np.log2(share)))
        self.places += int(counts.sum())
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def figures(self, known: int) -> dict[str, float]:
        """coverage@20, the share of the `known` items that was in a list; novelty@20, the mean self-information of
        what was in one, -log2 of its share of all events (Vargas and Castells 2011), in bits; gini of the places in
        lists over the known items, 0 where all have as many.
        """
        return {
            f"coverage@{SHOWN}": int((self.counts > 0).sum()) / known if known else float("nan"),
            f"novelty@{SHOWN}": self.information / self.places if self.places else float("nan"),
            "gini": gini(self.counts, known),
        }


def gini(counts: npt.NDArray[np.int64], known: int) -> float:
    """Gini coefficient of non-negative counts over `known` items, of which those without a count have 0."""
    total = int(counts.sum())
    if not total or known < 1:
        return float("nan")
    ascending = np.sort(counts[counts > 0])
    place = known - len(ascending) + np.arange(1, len(ascending) + 1)
    return float(np.sum((2 * place - known - 1) * ascending) / (known * total))


def auc(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> float:
    """The chance that a positive is scored above a negative, ties half; nan without both."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def log_loss(chances: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> float:
    """Mean cross-entropy in nats; chances are cut at 1e-15."""
    clipped = np.clip(np.where(labels, chances, 1 - chances), 1e-15, 1.0)
    return float(-np.mean(np.log(clipped))) if len(labels) else float("nan")


def resampled(values: npt.NDArray[np.float64], seed: int, draws: int = DRAWS) -> npt.NDArray[np.float64]:
    """Bootstrap means [draws, columns] of the figures [n, columns] of n events: each draw is the same events for every
    column, so that columns stay paired.
    """
    rng, n = np.random.default_rng(seed), len(values)
    means = np.empty((draws, values.shape[1]))
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        chosen = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(chosen.ravel(), minlength=size * n).reshape(size, n)
        means[start : start + size] = times @ values / n
    return means


def ratio(
    ours: float, theirs: float, our_means: npt.NDArray[np.float64], their_means: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """Ratio of two means and its 95 % interval by the percentiles of bootstrap means; nan where theirs is 0."""
    if not theirs > 0:
        return float("nan"), float("nan"), float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = our_means / their_means  # a draw without any hit of theirs is infinite, or says nothing
    low, high = np.percentile(ratios[~np.isnan(ratios)], [2.5, 97.5], method="inverted_cdf")
    return ours / theirs, float(low), float(high)


def paired_ratio(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], seed: int, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Ratio of the means of two figures of the same events and its paired 95 % bootstrap interval over events; nan
    without events.
    """
    if not len(ours):
        return float("nan"), float("nan"), float("nan")
    means = resampled(np.stack([ours, theirs], axis=1), seed, draws)
    return ratio(float(ours.mean()), float(theirs.mean()), means[:, 0], means[:, 1])


def paired_ratios(
    ranks: Mapping[str, Ranks], against: Sequence[str], groups: Mapping[str, npt.NDArray[np.bool_]], seed: int
) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    """[system][other][group][figure]: ratio, low and high of hit@20 and ndcg@10 of each system to each other one, over
    the events [n] of each group; all from the same draws of events. A system is not compared with itself.
    """
    names, figures = list(ranks), ("hit@20", "ndcg@10")
    if not names or not len(ranks[names[0]]):
        return {}
    column = {key: i for i, key in enumerate((n, g, f) for n in names for g in groups for f in figures)}
    values = np.empty((len(ranks[names[0]]), len(column)))
    for (name, group, figure), i in column.items():
        worth = gains(ranks[name], 10) if figure == "ndcg@10" else ranks[name] <= 20
        values[:, i] = np.where(groups[group], worth, 0.0)
    means, draws = values.mean(axis=0), resampled(values, seed)

    def compared(name: str, other: str, group: str, figure: str) -> dict[str, float]:
        ours, theirs = column[name, group, figure], column[other, group, figure]
        found = ratio(float(means[ours]), float(means[theirs]), draws[:, ours], draws[:, theirs])
        return dict(zip(("ratio", "low", "high"), found, strict=True))

    return {
        name: {
            other: {group: {figure: compared(name, other, group, figure) for figure in figures} for group in groups}
            for other in against
            if other in ranks and other != name
        }
        for name in names
    }


def binary(chances: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> dict[str, float]:
    """What chances [n] of a yes are worth where the truth [n] is known: a yes is told from one half on; precision and
    recall are of the yes, nan where none is told or true. `log_loss_of_share` is that of always telling their share.
    `ece` is the expected calibration error of `calibration` (Guo et al. 2017).
    """
    if not len(labels):
        return {"n": 0.0}
    told = chances >= 0.5
    hits, share = float((told & labels).sum()), float(labels.mean())
    bins = calibration(chances, labels)
    return {
        "n": float(len(labels)),
        "share": share,
        "accuracy": float((told == labels).mean()),
        "precision": hits / float(told.sum()) if told.any() else float("nan"),
        "recall": hits / float(labels.sum()) if labels.any() else float("nan"),
        "f1": 2 * hits / float(told.sum() + labels.sum()) if told.any() or labels.any() else float("nan"),
        "auc": auc(chances, labels),
        "log_loss": log_loss(chances, labels),
        "log_loss_of_share": log_loss(np.full(len(labels), share), labels),
        "ece": sum(row["n"] * abs(row["chance"] - row["share"]) for row in bins) / len(labels),
    }


def calibration(chances: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
    """Per tenth of the chances that has events: how many, their mean chance, and the share that was so."""
    tenth = np.minimum((chances * 10).astype(np.int64), 9)
    return [
        {"n": float(inside.sum()), "chance": float(chances[inside].mean()), "share": float(labels[inside].mean())}
        for inside in (tenth == number for number in range(10))
        if inside.any()
    ]


def rmse(expected: npt.NDArray[np.float64], numbers: npt.NDArray[np.float64]) -> float:
    """Root of the mean squared error; nan without numbers."""
    return float(np.sqrt(np.mean((expected - numbers) ** 2))) if len(numbers) else float("nan")
