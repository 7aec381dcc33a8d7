"""What a rank is worth: one copy for the prequential test and the evaluation.

A rank is float64, 1 for the best; ties count half, so it may end in .5; infinity for what could not be ranked at all.
Of each event exactly one item is relevant, so recall@k is hit@k and precision@k is hit@k / k.
"""

import numpy as np
import numpy.typing as npt

HITS = (1, 5, 10, 20, 50)
GAINS = (10, 20)

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


def coverage(shown: int, known: int) -> float:
    """The share of the known items that was in somebody's list."""
    return shown / known if known else float("nan")


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


def paired_ratio(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], seed: int, draws: int = 2_000
) -> tuple[float, float, float]:
    """Ratio of the means of two figures of the same events and its 95 % bootstrap interval over events; nan without
    events.
    """
    if not len(ours):
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    ratios = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(0, len(ours), len(ours))
        ratios[draw] = ours[chosen].mean() / max(theirs[chosen].mean(), 1e-12)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(ours.mean() / max(theirs.mean(), 1e-12)), float(low), float(high)
