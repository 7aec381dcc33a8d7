"""Killed within the transaction, then run again."""

import signal
import subprocess
import sys

from rec_assets.log import Log
from rec_assets.settings import KINDS
from rec_assets.tables import checks, warehouse
from rec_assets.tables.write import write as write_range
from rec_tests.tables.conftest import event

WRITE = """
import sys
from pathlib import Path
from rec_assets.log import Log
from rec_assets.settings import KINDS
from rec_assets.tables import warehouse
from rec_assets.tables.write import write
data = Path(sys.argv[1])
def clock():
    print("about to commit", flush=True)
    sys.stdin.readline()
    return 0
con, log = warehouse.connect(data / "warehouse.duckdb"), Log.open(data / "log")
write(con, log, 0, 3, KINDS, "first", lambda: 1_700_000_100_000_000)
write(con, log, 3, 6, KINDS, "killed", clock)
"""


def test_a_killed_write_leaves_nothing_and_is_made_good(tmp_path, log, add):
    add(*(event(n, at=n) for n in range(5)), b"bad")
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "about to commit\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)

    def contents(con):
        tables = ("rejected_events", "interactions", "users", "items", "micro_batches")
        return {table: con.execute(f"select * from {table} order by all").fetchall() for table in tables}

    with Log.open(tmp_path / "log") as own, warehouse.connect(tmp_path / "warehouse.duckdb") as con:
        assert con.execute("select end_offset from micro_batches").fetchall() == [(3,)]
        assert con.execute("select count(*) from interactions").fetchall() == [(3,)]
        write_range(con, own, 3, 6, KINDS, "second", lambda: 1_700_000_200_000_000)
        assert checks.ledger_contiguous(con).passed
        again = contents(con)
        with warehouse.connect(":memory:") as undisturbed:
            write_range(undisturbed, own, 0, 3, KINDS, "first", lambda: 1_700_000_100_000_000)
            write_range(undisturbed, own, 3, 6, KINDS, "second", lambda: 1_700_000_200_000_000)
            assert contents(undisturbed) == again
