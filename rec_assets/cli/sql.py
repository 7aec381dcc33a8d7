"""`rec sql`: read-only DuckDB on the published tables, while the loop runs."""

import csv
import sys
import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rec_assets.cli.failing import fail
from rec_assets.durable import NewerFormat

ROWS = 200  # shown as a table
LISTED = (
    "select table_name, string_agg(column_name, ', ' order by column_index) from duckdb_columns() group by 1 order by 1"
)


def sql(
    query: Annotated[str | None, typer.Argument(help="A SELECT; `-` reads it from the standard input.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="All rows as CSV, not 200 as a table.")] = False,
) -> None:
    """Ask the tables: interactions, rejected_events, users, items, micro_batches, prequential_metrics, freshness,
    impressions, signals, drift_alarms.

    They are copies, at most a minute behind while the loop runs (users and items an hour); no query disturbs it.
    Without a query, list the tables and their columns.
    """
    import duckdb

    from rec_assets.settings import Settings
    from rec_assets.tables import published

    errors = Console(stderr=True)
    try:
        con, found = published.connect(Settings().published_dir)
    except (FileNotFoundError, NewerFormat) as error:
        fail(error)
    text = LISTED if query is None else sys.stdin.read() if query == "-" else query
    with con:
        try:
            result = published.ask(con, text)
            names = [column[0] for column in result.description or ()]
            if as_csv:
                writer = csv.writer(sys.stdout)
                writer.writerow(names)
                while rows := result.fetchmany(10_000):
                    writer.writerows(rows)
                return
            rows = result.fetchmany(ROWS + 1)
        except (duckdb.Error, ValueError) as error:
            fail(error)
    table = Table(*names, box=None)
    for row in rows[:ROWS]:
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)
    age = timedelta(seconds=round(time.time() - found.at / 1e6))
    more = f"the first {ROWS} rows; --csv gives all. " if len(rows) > ROWS else ""
    errors.print(f"{more}Up to offset {found.parts[-1].end:,}, published {age} ago.", style="dim", highlight=False)
