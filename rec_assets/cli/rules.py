"""`rec rules`: business rules of the service, checked before they hold."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rec_assets.cli.failing import fail
from rec_assets.serving.attributes import Attributes
from rec_assets.serving.expression import Filter
from rec_assets.serving.rules import ACTIONS, BadRules, Rule, parse
from rec_assets.settings import Settings
from rec_assets.tables import published

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.callback()
def explain() -> None:
    """Business rules: what may be listed, boosts, pins, caps. A running service takes up a changed file by itself.

    \b
    [[rule]]
    name = "only what we can ship"
    only = "stock > 0"
    """


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A rules file; the installation's own by default.")] = None,
) -> None:
    """Read a rules file as the service would, and count how many items of the catalogue each rule is about."""
    console, path = Console(), file or Settings().rules
    try:
        rules = parse(path.read_bytes())
    except (OSError, BadRules) as error:
        fail(f"{path}: {error}")
    items = _catalogue(Settings().published_dir)
    table = Table("rule", "what", "lists", "items", "to note", box=None)
    for rule, filter_ in rules.rules:
        table.add_row(rule.name, _what(rule), ", ".join(rule.placements) or "all", *_reach(filter_, items))
    console.print(table if rules.rules else "the file holds no rule")
    console.print(f"{path}: {len(rules)} rules, version {rules.version}", style="dim")


def _catalogue(directory: Path) -> Attributes | None:
    """The published items; None where nothing is published yet."""
    found = published.read(directory)
    if found is None:
        return None
    attributes, key = Attributes(), 0
    for file in track(found.files(directory)["items"], "Reading the catalogue", transient=True):
        for row in pq.read_table(file, columns=["categories", "attributes"]).to_pylist():
            attributes.put(key, {"categories": row["categories"], **msgspec.json.decode(row["attributes"] or "{}")})
            key += 1
    return attributes


def _what(rule: Rule) -> str:
    action = next(name for name in ACTIONS if getattr(rule, name) is not None)
    more = {"boost": f" × {rule.factor:g}" if rule.factor else "", "pin": f" at {rule.place}", "cap": f" ≤ {rule.most}"}
    return f"{action} {getattr(rule, action)}{more.get(action, '')}"


def _reach(filter_: Filter | None, items: Attributes | None) -> Iterable[str]:
    if filter_ is None:
        return "", ""
    if items is None:
        return "?", "nothing is published yet, so nothing could be counted"
    unknown = sorted(filter_.names - items.names)
    count = int(filter_.mask(items, 0.0).sum())
    note = f"no item has an attribute {unknown[0]!r}" if unknown else "" if count else "no item matches"
    return f"{count:,} of {items.size:,}", note
