import math

import numpy as np
import pytest

from rec_assets import metrics


def test_figures_against_direct_computation():
    ranks = np.array([1.0, 2.5, 10.0, 20.0, 20.5, np.inf])
    figures = metrics.summary(ranks)
    assert figures["n"] == 6
    assert figures["hit@1"] == pytest.approx(1 / 6)
    assert figures["hit@20"] == figures["recall@20"] == pytest.approx(4 / 6)
    assert figures["precision@10"] == pytest.approx(3 / 60)
    precision, recall = figures["precision@10"], figures["recall@10"]
    assert figures["f1@10"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert figures["ndcg@10"] == pytest.approx(sum(1 / math.log2(1 + r) for r in (1, 2.5, 10)) / 6)
    assert figures["mrr"] == pytest.approx(sum(1 / r for r in (1, 2.5, 10, 20, 20.5)) / 6)


def test_without_events_nothing_is_made_up():
    assert math.isnan(metrics.summary(np.empty(0))["hit@20"])


def test_auc_counts_pairs():
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels] for n in scores[~labels]]
    assert metrics.auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert math.isnan(metrics.auc(scores, np.ones(40, bool)))


def test_log_loss():
    value = metrics.log_loss(np.array([0.9, 0.2]), np.array([True, False]))
    assert value == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2)


def test_a_yes_against_direct_computation():
    chances = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    labels = np.array([True, True, False, True, False, False])
    found = metrics.binary(chances, labels)
    assert (found["n"], found["share"], found["accuracy"]) == (6, 0.5, pytest.approx(4 / 6))
    assert found["precision"] == found["recall"] == found["f1"] == pytest.approx(2 / 3)
    assert found["log_loss_of_share"] == pytest.approx(math.log(2))
    assert found["ece"] == pytest.approx((0.1 + 0.2 + 0.7 + 0.7 + 0.2 + 0.1) / 6)
    assert metrics.binary(chances[:0], labels[:0]) == {"n": 0}
    assert math.isnan(metrics.binary(np.full(2, 0.1), np.ones(2, bool))["precision"])


def test_what_is_calibrated_has_no_error():
    rng = np.random.default_rng(3)
    chances = rng.random(20_000)
    labels = rng.random(20_000) < chances
    assert metrics.binary(chances, labels)["ece"] < 0.02
    assert metrics.binary(chances**3, labels)["ece"] > 0.1
    assert sum(row["n"] for row in metrics.calibration(chances, labels)) == 20_000


def test_rmse():
    assert metrics.rmse(np.array([1.0, 3.0]), np.array([2.0, 5.0])) == pytest.approx(2.5**0.5)
    assert math.isnan(metrics.rmse(np.empty(0), np.empty(0)))


def test_paired_ratio_of_equal_systems_is_one():
    hits = (np.random.default_rng(2).random(400) < 0.3).astype(float)
    assert metrics.paired_ratio(hits, hits, seed=0) == (1.0, 1.0, 1.0)
    ratio, low, high = metrics.paired_ratio(hits, np.roll(hits, 1) * 0.5, seed=0)
    assert low < ratio < high
    assert ratio == pytest.approx(2.0)
