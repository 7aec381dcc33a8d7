"""The ledger follows the registry: what a kill, a rollback or a command has left it to note."""

import contextlib

import duckdb

from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import finish, ledger, warehouse


def settle(con: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    """Where the ledger does not know what is promoted, bring it in line.

    A run was killed between the two, or what was served was rolled back, or learnt by a command.
    """
    pointer = registry.pointer()
    if pointer is None or warehouse.log_id(con) != pointer.log_id:
        return
    lines = ledger.lines(con, newest=ledger.LOOKED_AT)
    promoted = [line.checkpoint for line in lines if line.state == "promoted"]
    if pointer.id not in promoted or pointer.action == "rolled back":
        learnt = registry.manifest(pointer.id).learnt
        finish.settle(con, pointer.id, learnt, pointer.promoted_at, registry.why_rolled_back())


def settle_now(settings: Settings, registry: Registry) -> bool:
    """Settle the ledger unless a run holds the tables, which the next run then does. Says whether it is done."""
    if not settings.warehouse_path.exists():
        return False
    with contextlib.suppress(duckdb.IOException), warehouse.connect(settings.warehouse_path) as con:
        settle(con, registry)
        return True
    return False
