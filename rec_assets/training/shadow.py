"""After promotion: what is served and the last known-good checkpoint rank the same events, batch after batch.

A checkpoint becomes the known-good one once it and its children have been served over PROVEN scored events without a
drop; until there is one, it is the first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rec_assets.metrics import WHOLE, gains

PROVEN = 1_000  # scored events
Z = 5.0  # looked at after every batch, and the events of one session are alike: three would be too few
MARGIN = 0.05  # of the known-good one's mean gain
LEAST = 60  # scored events, fewer say nothing
KEPT = 64  # pieces of evidence; older ones are added up


class Evidence(NamedTuple):
    """Sums over `n` events that both have ranked; an event's gain is 1 / log2(1 + rank)."""

    n: int
    known: float  # the known-good one's gains
    worse: float  # by how much these lie above the served one's
    squares: float  # of that

    def plus(self, other: "Evidence") -> "Evidence":
        """Both together."""
        return Evidence(
            self.n + other.n, self.known + other.known, self.worse + other.worse, self.squares + other.squares
        )


NOTHING = Evidence(0, 0.0, 0.0, 0.0)


class Shadow(NamedTuple):
    """What is known to be good, what may become it, and the batches since that was first tested, oldest first."""

    known_good: str
    probation: str | None = None
    evidence: tuple[Evidence, ...] = ()

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> Self | None:
        """What a checkpoint's manifest has of it, None where it has nothing."""
        found = extra.get("shadow")
        if found is None:
            return None
        return cls(found["known_good"], found["probation"], tuple(Evidence(*each) for each in found["evidence"]))

    def plain(self) -> dict[str, Any]:
        """For the manifest."""
        evidence = [list(each) for each in self.evidence]
        return {"known_good": self.known_good, "probation": self.probation, "evidence": evidence}

    def after(self, served: str, seen: Evidence) -> "Shadow":
        """Once `served` has been tested without a drop."""
        if served == self.known_good:
            return self
        if self.probation is None:
            return Shadow(self.known_good, served, (seen,))
        evidence = (*self.evidence, seen)
        if sum(each.n for each in evidence) >= PROVEN:
            return Shadow(self.probation, served if served != self.probation else None)
        if len(evidence) > KEPT:
            evidence = (evidence[0].plus(evidence[1]), *evidence[2:])
        return self._replace(evidence=evidence)


class Verdict(NamedTuple):
    """The stretch of batches up to now in which the served one did worst: `worse` in standard errors and as a share."""

    dropped: bool
    z: float
    share: float
    n: int

    @property
    def reason(self) -> str:
        """In words."""
        return f"ranked {self.n} events {self.share:.1%} and {self.z:.1f} standard errors worse than the known-good one"


def compare(served: npt.NDArray[np.float64], known: npt.NDArray[np.float64]) -> Evidence:
    """The same events' ranks by both."""
    good = gains(known, WHOLE)
    worse = good - gains(served, WHOLE)
    return Evidence(len(known), float(good.sum()), float(worse.sum()), float((worse**2).sum()))


def judge(evidence: Sequence[Evidence]) -> Verdict:
    """Over the newest batch, the newest two, and so on back to the first: a bad update shows at once or slowly."""
    worst, total = Verdict(False, 0.0, 0.0, 0), NOTHING
    for each in reversed(evidence):
        total = total.plus(each)
        if total.n < LEAST or total.known <= 0:
            continue
        mean, share = total.worse / total.n, total.worse / total.known
        error = (max(total.squares / total.n - mean**2, 0.0) / total.n) ** 0.5
        z = mean / error if error > 0 else 0.0
        dropped = z > Z and share > MARGIN
        if (dropped, z) > (worst.dropped, worst.z):
            worst = Verdict(dropped, z, share, total.n)
    return worst
