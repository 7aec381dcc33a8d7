"""The terminal view shows figures where there are some and a dash where there are none."""

from rich.console import Console

from rec_assets.demo.view import Snapshot, render


def text_of(snapshot: Snapshot) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render(snapshot))
    return captured.get()


def test_nothing_measured_is_a_dash_and_no_zero():
    text = text_of(Snapshot(stage="starting"))
    assert "0.000" not in text
    assert "none yet" in text


def test_figures_stand_beside_their_system():
    metrics = {
        "online": {"n": 1200.0, "hit20": 0.345, "ndcg10": 0.123},
        "frozen": {"n": 1200.0, "hit20": 0.3, "ndcg10": 0.1},
    }
    snapshot = Snapshot(metrics=metrics, own_list=(12.0, 48.0), weights=(3.2, 6.5), checkpoint="000007-abc")
    text = text_of(snapshot)
    assert "0.345" in text
    assert "1.15" in text
    assert "1,200 events scored" in text
    assert "p99 48 ms" in text
    assert "000007-abc" in text
