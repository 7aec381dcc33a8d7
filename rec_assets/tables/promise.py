"""The promise of how soon an event is in the served weights: whether it is kept, and an alert when that changes."""

from collections.abc import Mapping

from rec_assets.alerts import raise_alert
from rec_assets.settings import Promise, Settings
from rec_assets.tables.status import Status


def broken(promise: Promise, weights: Mapping[str, float] | None) -> list[str]:
    """Which limits measured times ({"p50_s", "p95_s", "p99_s"}) exceed, in words; none where nothing was measured."""
    if weights is None:
        return []
    limits = {"p50_s": promise.p50_seconds, "p95_s": promise.p95_seconds, "p99_s": promise.p99_seconds}
    return [
        f"{name.removesuffix('_s')} {weights[name]:.1f} s, promised {limit:g} s"
        for name, limit in limits.items()
        if weights[name] > limit
    ]


def tell(settings: Settings, before: Status | None, now: Status) -> None:
    """Raise an alert where the promise has just been broken, or is kept again."""
    was, weights = (before.promise_broken if before is not None else []), now.freshness["weights"] or {}
    if now.promise_broken and not was:
        raise_alert(settings, "freshness broken", "; ".join(now.promise_broken), **weights)
    elif was and not now.promise_broken:
        raise_alert(settings, "freshness kept again", "all limits hold", **weights)
