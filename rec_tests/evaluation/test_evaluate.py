import json
import math
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer import Typer
from typer.testing import CliRunner

from rec_assets.cli.evaluate import evaluate
from rec_assets.evaluation.assets import evaluation
from rec_assets.evaluation.prequential import GROUPS, SYSTEMS, earlier
from rec_assets.evaluation.stream import BadStream, read
from rec_assets.models.compile import use_cache

use_cache(Path("data") / "compiled")  # what an earlier run compiled serves this one

app = Typer()
app.command()(evaluate)


def rows(n, seed=0, users=12, items=30):
    """A user goes from item i to i + 1, sometimes elsewhere."""
    rng = np.random.default_rng(seed)
    at, found = rng.integers(0, items, users), []
    for position in range(n):
        user = int(rng.integers(users))
        at[user] = rng.integers(items) if rng.random() < 0.1 else (at[user] + 1) % items
        found.append(
            {"user": user, "item": int(at[user]), "ts": 1_000_000_000 + 60 * position, "event": "click", "value": None}
        )
    return found


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path / "data"))
    small = {
        "embedding_dim": 16,
        "blocks": 1,
        "window": 8,
        "candidates": 24,
        "per_source": 8,
        "warmup_passes": 2,
        "ranker_passes": 1,
    }
    for name, value in small.items():
        monkeypatch.setenv(f"REC_TRAIN__{name.upper()}", str(value))
    pq.write_table(pa.Table.from_pylist(rows(800)), tmp_path / "events.parquet")
    return tmp_path


def run(directory, *arguments):
    result = CliRunner().invoke(
        app,
        [
            str(directory / "events.parquet"),
            "--out",
            str(directory / "report.json"),
            "--ranks",
            str(directory / "ranks.parquet"),
            *arguments,
        ],
    )
    assert result.exit_code == 0, result.output
    return json.loads((directory / "report.json").read_text()), pq.read_table(directory / "ranks.parquet").to_pylist()


def test_all_systems_end_to_end(small):
    report, ranks = run(small, "--batches", "4", "--sample-every", "2", "--repeats")
    systems = {system["system"]: system for system in report["systems"]}
    assert tuple(systems) == SYSTEMS
    assert {system["n"] for system in systems.values()} == {200}
    assert [row["start"] for row in systems["online"]["series"]] == [400, 500, 600, 700]
    assert {row["position"] % 2 for row in ranks} == {0}
    for name, system in systems.items():
        own = [row["rank"] for row in ranks if row["system"] == name]
        assert len(own) == 200
        assert system["hit@10"] == pytest.approx(sum(rank <= 10 for rank in own) / 200)
        assert system["ndcg@10"] == pytest.approx(sum(1 / math.log2(1 + rank) for rank in own if rank <= 10) / 200)
    assert systems["co_visitation"]["hit@1"] > 0.7
    assert (
        systems["online"]["ratio_to"]["frozen"]["all"]["hit@20"]["low"]
        <= systems["online"]["ratio_to"]["frozen"]["all"]["hit@20"]["high"]
    )
    online = systems["online"]
    assert set(online["ratio_to"]["frozen"]) == set(GROUPS)
    for system in systems.values():
        assert sum(system["groups"][group]["n"] for group in ("new_user", "old_user")) == 200
        assert sum(system["groups"][group]["n"] for group in ("new_item", "old_item")) == 200
        if system["system"] != "source_content":  # without ITEMS it has nothing to show
            assert 0 < system["coverage@20"] <= 1
            assert 0 <= system["gini"] < 1
            assert system["novelty@20"] > 0
    assert systems["linear"]["hit@10"] > systems["popularity"]["hit@10"]
    assert systems["source_next"]["hit@1"] > 0.7
    again, _ = run(small, "--batches", "4", "--sample-every", "2", "--repeats")
    assert [system["hit@20"] for system in again["systems"]] == [system["hit@20"] for system in report["systems"]]


def test_labels_are_told_before_they_are_learnt(small):
    events = rows(800)
    for position, event in enumerate(events):
        if position % 3 == 0:
            event |= {"event": "rating", "value": 5.0 if event["item"] < 15 else 2.0}
    pq.write_table(pa.Table.from_pylist(events), small / "events.parquet")
    report, _ = run(small, "--batches", "4", "--systems", "online", "--repeats")
    labels = report["labels"]
    assert labels.keys() == {"click", "rating", "liked", "rating_value"}
    rated = sum(position % 3 == 0 for position in range(400, 800))
    assert labels["rating_value"]["n"] == labels["liked"]["n"] == rated
    assert labels["rating_value"]["rmse"] < labels["rating_value"]["rmse_of_mean"]
    for name in ("click", "rating", "liked"):
        assert 0 <= labels[name]["ece"] <= 1
        assert sum(row["n"] for row in labels[name]["bins"]) == labels[name]["n"]
    assert labels["liked"]["auc"] > 0.8
    assert labels["liked"].keys() >= {"accuracy", "precision", "recall", "f1", "log_loss"}
    assert (small / "report.png").stat().st_size > 10_000


def test_leave_one_out_finds_the_next_item(small):
    report, ranks = run(small, "--protocol", "leave-one-out", "--repeats", "--passes", "4")
    systems = {system["system"]: system for system in report["systems"]}
    assert set(systems) == {"blend", "encoder"}
    assert {system["n"] for system in systems.values()} == {12}  # users
    assert systems["blend"]["hit@10"] >= 0.5
    last = {}
    for position, event in enumerate(rows(800)):
        last[str(event["user"])] = position
    assert {row["position"] for row in ranks} == set(last.values())


def test_a_stream_is_an_asset_too(small):
    config = {"events": str(small / "events.parquet"), "batches": 2, "repeats": True}
    config["systems"] = ["online", "frozen", "popularity", "source_next"]
    result = dg.materialize([evaluation], run_config={"ops": {"evaluation": {"config": config}}})
    [materialized] = result.asset_materializations_for_node("evaluation")
    assert "| online | 400 |" in materialized.metadata["systems"].value
    assert materialized.metadata["plots"].value.startswith("![](data:image/png;base64,")
    assert materialized.metadata["best_baseline"].value == "popularity"


def test_what_stood_before_is_counted():
    assert earlier(np.array([3, 1, 3, 3, 1, 2], np.int32)).tolist() == [0, 0, 1, 2, 1, 0]
    assert earlier(np.array([], np.int32)).tolist() == []


def brute_force(events, first, end):
    """Ranks of popularity, without repeats, for the events of one batch."""
    counts = {}
    for event in events[:first]:
        counts[event["item"]] = counts.get(event["item"], 0) + 1
    found = {}
    for position in range(first, end):
        event = events[position]
        had = {other["item"] for other in events[:position] if other["user"] == event["user"]}
        if event["item"] in had:
            continue
        if event["item"] not in counts:
            found[position] = math.inf
            continue
        others = [n for item, n in counts.items() if item not in had and item != event["item"]]
        own = counts[event["item"]]
        found[position] = 1 + sum(n > own for n in others) + sum(n == own for n in others) / 2
    return found


def test_popularity_by_brute_force_and_no_repeats(small):
    events = rows(400, seed=1, users=30, items=60)
    pq.write_table(pa.Table.from_pylist(events), small / "events.parquet")
    report, ranks = run(small, "--batches", "2", "--systems", "popularity,item_knn")
    expected = brute_force(events, 200, 300) | brute_force(events, 300, 400)
    assert {row["position"]: row["rank"] for row in ranks if row["system"] == "popularity"} == expected
    assert {row["system"] for row in ranks} == {"popularity", "item_knn"}
    [popularity, _] = report["systems"]
    assert popularity["unknown_item_share"] == pytest.approx(
        sum(math.isinf(rank) for rank in expected.values()) / len(expected)
    )


def test_kinds_are_dropped_before_positions_are_counted(small):
    events = [
        event | {"event": "view" if n % 3 else "buy", "item": str(event["item"])} for n, event in enumerate(rows(300))
    ]
    pq.write_table(pa.Table.from_pylist(events), small / "events.parquet")
    stream = read(small / "events.parquet", ["buy"])
    assert len(stream) == 100
    assert stream.parsed(10, 12).events.item_id == [events[30]["item"], events[33]["item"]]
    assert list(stream.kinds) == ["buy"]


def test_content_makes_nothing_known(small):
    events = rows(400)
    pq.write_table(pa.Table.from_pylist(events), small / "events.parquet")
    items = [{"item": n, "title": f"Title {n}", "genres": "a|b"} for n in range(500)]
    pq.write_table(pa.Table.from_pylist(items), small / "items.parquet")
    with_content, _ = run(
        small, "--batches", "2", "--repeats", "--systems", "popularity", "--items", str(small / "items.parquet")
    )
    without, _ = run(small, "--batches", "2", "--repeats", "--systems", "popularity")
    assert with_content["systems"][0]["mrr"] == without["systems"][0]["mrr"]
    assert read(small / "events.parquet", None, small / "items.parquet").content.categories[0] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--systems", "magic"], "no system is called 'magic'"),
        (["--kinds", "sale"], "no event of the kinds sale"),
        (["--protocol", "guess"], "is no protocol"),
    ],
)
def test_wrong_arguments_are_named(small, arguments, said):
    result = CliRunner().invoke(app, [str(small / "events.parquet"), "--out", str(small / "r.json"), *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"user": [1], "item": [1]}), tmp_path / "events.parquet")
    with pytest.raises(BadStream, match="lacks ts, event"):
        read(tmp_path / "events.parquet")
