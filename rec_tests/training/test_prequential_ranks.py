import numpy as np
import pytest
from chain_stream import chain, parsed

from rec_assets import metrics
from rec_assets.features import state as live
from rec_assets.features import storage
from rec_assets.training import prequential, warmup
from rec_assets.training.prequential import Reference


@pytest.fixture
def tested(state, monkeypatch):
    rows = chain(700)
    rows[650] = ("u1", "never seen before", rows[650][2])
    rows[655] = ("u2", "never seen before", rows[655][2])
    model = warmup.run(state, live.to_arrays(state, parsed(rows[:600]), 600))
    reference = Reference(model.copy(), storage.copy_counters(state))
    arrays = live.to_arrays(state, parsed(rows[600:], 600), 700)
    first = prequential.popularity.is_first(state, arrays)
    index = np.flatnonzero(first)
    monkeypatch.setattr(prequential, "AT_ONCE", 2)  # a batch in pieces
    pieces = []

    def again(candidates):
        pieces.append(candidates)
        return model.rank(candidates)

    return rows, model, index, prequential.run(model, reference, state, arrays, index, scorers={"again": again}), pieces


def test_only_what_the_user_never_had_is_scored(tested):
    rows, _, index, _, _ = tested
    seen = [row[:2] for row in rows]
    assert index.tolist() == [i for i in range(100) if seen[600 + i] not in seen[: 600 + i]]


def test_ranks_of_popularity_by_brute_force(tested):
    rows, _, index, result, _ = tested
    counts = {}
    for _, item, _ in rows[:600]:
        counts[item] = counts.get(item, 0) + 1
    for place, rank in zip(index, result.systems["popularity"].ranks, strict=True):
        user, item, _ = rows[600 + place]
        had = {row[1] for row in rows[: 600 + place] if row[0] == user}
        if item not in counts:
            assert rank == np.inf
            continue
        others = [counts[other] for other in counts if other not in had and other != item]
        assert rank == 1 + sum(n > counts[item] for n in others) + sum(n == counts[item] for n in others) / 2


def test_ranks_of_the_ranker_by_brute_force(tested):
    rows, model, index, result, pieces = tested
    known = {row[1] for row in rows[:600]}
    assert len(pieces) > 1
    targets = np.concatenate([piece.target for piece in pieces])
    items = np.concatenate([piece.items for piece in pieces])
    scores = np.concatenate([model.rank(piece) for piece in pieces])
    np.testing.assert_array_equal(result.systems["again"].ranks, result.systems["online"].ranks)
    for place, rank, row, columns, column in zip(
        index, result.systems["online"].ranks, scores, items, targets, strict=True
    ):
        user, item, _ = rows[600 + place]
        had = {each[1] for each in rows[: 600 + place] if each[0] == user}
        listed = columns >= 0
        assert len(set(columns[listed].tolist())) == listed.sum() <= len(known - had)
        if item not in known:
            assert rank == np.inf
            continue
        if column >= 0:
            own = row[column]
            expected = 1 + (row[listed] > own).sum() + ((row[listed] == own).sum() - 1) / 2
        else:
            expected = 1 + listed.sum() + (len(known - had) - listed.sum() - 1) / 2
        assert rank == expected


def test_all_systems_are_scored_on_the_same_events(tested):
    _, _, index, result, _ = tested
    assert set(result.systems) == {*prequential.SYSTEMS, "again"} - {"known_good"}
    assert set(result.seconds) == {"online", "frozen", "frozen_weights"}
    assert {len(scored.ranks) for scored in result.systems.values()} == {len(index)}
    figures = prequential.figures(result)
    assert figures["online"]["hit@20"] == metrics.hit(result.systems["online"].ranks, 20)


def test_what_is_tested_depends_on_the_event_alone(state):
    rows = chain(300)
    arrays = live.to_arrays(state, parsed(rows), 300)
    ids = [f"e{i}" for i in range(300)]
    chosen = prequential.tested_index(state, arrays, ids, 16)
    assert len(chosen) == 16
    assert (np.diff(chosen) > 0).all()
    fewer = prequential.tested_index(state, arrays, ids, 8)
    assert set(fewer) <= set(chosen)
