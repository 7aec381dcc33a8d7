import numpy as np
import pytest

from rec_assets.training.gate import Losses, judge, z_score

RNG = np.random.default_rng(0)
PARENT = Losses(RNG.gamma(2.0, 2.0, 1_000), RNG.gamma(2.0, 2.0, 1_000))
EVEN = np.arange(400, dtype=np.int32) % 50


def shifted(by, part="encoder"):
    noise = RNG.normal(0, 0.5, 1_000)
    return PARENT._replace(**{part: getattr(PARENT, part) + noise + by})


def test_the_same_losses_pass():
    gate = judge(PARENT, PARENT, True, EVEN)
    assert gate.passed
    assert gate.figures["encoder_z"] == 0


@pytest.mark.parametrize("part", ["encoder", "ranker"])
def test_worse_by_more_than_three_standard_errors_is_refused(part):
    assert judge(PARENT, shifted(0.0, part), True, EVEN).passed
    assert judge(PARENT, shifted(-0.2, part), True, EVEN).passed
    gate = judge(PARENT, shifted(0.1, part), True, EVEN)
    assert not gate.passed
    assert part in gate.reason


def test_a_sure_but_tiny_loss_is_the_price_of_learning():
    slightly = PARENT._replace(encoder=PARENT.encoder * 1.005)
    gate = judge(PARENT, slightly, True, EVEN)
    assert gate.figures["encoder_z"] > 3
    assert gate.passed
    assert not judge(PARENT, PARENT._replace(encoder=PARENT.encoder * 1.02), True, EVEN).passed


def test_numbers_must_be_finite():
    assert not judge(PARENT, PARENT, False, EVEN).passed
    assert not judge(PARENT, shifted(np.nan), True, EVEN).passed


def test_a_batch_of_one_item_is_refused_unless_it_is_small():
    assert not judge(PARENT, PARENT, True, np.zeros(400, np.int32)).passed
    assert judge(PARENT, PARENT, True, np.zeros(40, np.int32)).passed
    assert judge(PARENT, PARENT, True, np.full(400, -1, np.int32)).passed


def test_few_events_say_nothing():
    assert z_score(np.zeros(10), np.ones(10)) == 0.0
