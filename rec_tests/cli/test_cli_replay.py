"""`rec replay`, as a person calls it."""

import pytest
import typer
from typer.testing import CliRunner

from rec_assets.cli.replay import replay

app = typer.Typer()
app.command()(replay)
run = CliRunner().invoke


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user,item\nu,i\n")
    return str(path)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--speed", "fast"], 2, "is no speed"),
        (["--speed", "0x"], 2, "is no speed"),
        (["--speed", "2x", "--rate", "3"], 2, "either --speed or --rate"),
        (
            ["--user-column", "who"],
            1,
            "events.csv: there is no column 'who' for user_id; there are user, item",
        ),
    ],
)
def test_a_wrong_option_is_named(events, options, status, message):
    shown = run(app, [events, *options])
    assert shown.exit_code == status
    assert message in shown.output.replace("\n", " ")


def test_a_file_that_is_not_there_is_named(tmp_path):
    shown = run(app, [str(tmp_path / "nothing.csv")])
    assert shown.exit_code == 2
    assert "does not exist" in shown.output
