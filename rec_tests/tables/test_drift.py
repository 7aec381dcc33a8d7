"""A detector sees a turn of the stream within batches, is quiet on noise, and forgets nothing at a restart."""

import numpy as np
import pytest

from rec_assets.tables import drift, finish
from rec_tests.tables.conftest import event, rows

RNG = np.random.default_rng(0)


def alarms_at(values):
    return [n for n in range(drift.LEAST, len(values) + 1) if drift.changed("loss", values[:n])]


def test_noise_raises_no_alarm():
    assert alarms_at(RNG.normal(0.8, 0.03, 200).tolist()) == []
    assert alarms_at([0.5] * 100) == []
    assert drift.changed("loss", [0.1, 0.9]) == []


@pytest.mark.parametrize("step", [0.15, -0.15])
def test_a_turn_is_seen_within_some_batches(step):
    values = np.concatenate([RNG.normal(0.7, 0.03, 100), RNG.normal(0.7 + step, 0.03, 30)])
    found = alarms_at(values.tolist())
    assert found
    assert 100 < found[0] <= 115
    [alarm, *_] = drift.changed("loss", values[: found[0]].tolist())
    assert (alarm.now - alarm.before) * step > 0


def test_the_input_mix_is_watched_and_running_again_changes_nothing(con, add, write):
    for number in range(52):
        kind = "click" if number < 44 else "view"
        add(*({**event(100 * number + n), "event": kind} for n in range(4)))
        write(4 * number, 4 * number + 4)
        finish.trained(con, 4 * number, 4 * number + 4, "c", {"online": {"n": 4, "ndcg@10": 0.5}})
        found = drift.watch(con, 4 * number, 4 * number + 4)
    assert drift.watch(con, 4 * number, 4 * number + 4) == found
    signals = {signal for (signal,) in rows(con, "signals", "distinct signal")}
    assert signals == {"loss", "new users", "new items", "kind click", "kind view"}
    raised = {signal for (signal,) in rows(con, "drift_alarms", "distinct signal")}
    assert "kind view" in raised
    assert "loss" not in raised
    assert "kind view" in drift.newest(con, 20)[-1][2]
    assert not drift.recent(con, 10)
