"""What the terminal shows: one snapshot of the loop in, one picture out."""

from dataclasses import dataclass, field

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

# In the table's order: the name in the ledger, and what it is, in words.
SYSTEMS = {
    "online": "online: learns from every micro-batch",
    "frozen_weights": "frozen weights, live counters",
    "frozen": "all frozen, live histories",
    "popularity": "popularity of all time",
}


@dataclass
class Snapshot:
    """All that one picture needs. Own list in milliseconds, weights in seconds; None where there is no figure yet."""

    stage: str = ""
    events: int = 0
    events_total: int = 0
    micro_batches: int = 0
    checkpoint: str | None = None
    behind: int = 0  # events in the log that no promoted checkpoint has learnt from
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)  # system -> n, hit20, ndcg10
    own_list: tuple[float, float] | None = None  # p50, p99 in ms
    weights: tuple[float, float] | None = None  # p50, p95 in s
    addresses: dict[str, str] = field(default_factory=dict)


def latency(pair: tuple[float, float] | None, names: str, unit: str, digits: int) -> str:
    """Two percentiles as text, or a dash where nothing was measured."""
    if pair is None:
        return "–"
    first, second = names.split()
    return f"{first} {pair[0]:.{digits}f} {unit}, {second} {pair[1]:.{digits}f} {unit}"


def metrics_table(metrics: dict[str, dict[str, float]]) -> Table:
    """hit@20 and NDCG@10 per system over all events scored so far, each before it was learnt from."""
    table = Table(box=box.SIMPLE_HEAD, expand=True)
    table.add_column("prequential test")
    for name in ("hit@20", "NDCG@10", "× frozen"):
        table.add_column(name, justify="right")
    frozen = metrics.get("frozen", {}).get("hit20")
    for system, words in SYSTEMS.items():
        row = metrics.get(system)
        if row is None:
            table.add_row(words, "–", "–", "–")
            continue
        ratio = f"{row['hit20'] / frozen:.2f}" if frozen else "–"
        style = "bold green" if system == "online" else ""
        table.add_row(words, f"{row['hit20']:.3f}", f"{row['ndcg10']:.3f}", ratio, style=style)
    return table


def facts_table(snapshot: Snapshot) -> Table:
    """The loop's state, one fact a line."""
    table = Table(box=None, show_header=False, expand=True, padding=(0, 1))
    table.add_column(style="dim", width=22)
    table.add_column()
    table.add_row("events in", f"{snapshot.events:,} of {snapshot.events_total:,}")
    table.add_row("micro-batches", f"{snapshot.micro_batches:,}")
    table.add_row("served checkpoint", snapshot.checkpoint or "none yet: popularity from the log")
    table.add_row("not yet learnt from", f"{snapshot.behind:,} events")
    table.add_row("own list", latency(snapshot.own_list, "p50 p99", "ms", 0))
    table.add_row("weights", latency(snapshot.weights, "p50 p95", "s", 1))
    return table


def render(snapshot: Snapshot) -> RenderableType:
    """The whole picture for a rich Live."""
    scored = int(snapshot.metrics.get("online", {}).get("n", 0))
    links = Text(
        "   ".join(f"{name}: {url}" for name, url in snapshot.addresses.items()), style="cyan", overflow="fold"
    )
    progress = Table.grid(expand=True)  # a bar alone ends without a new line
    progress.add_row(ProgressBar(total=max(snapshot.events_total, 1), completed=snapshot.events))
    body = Group(
        Text(snapshot.stage, style="bold"),
        progress,
        facts_table(snapshot),
        metrics_table(snapshot.metrics),
        Text(f"{scored:,} events scored, each by a model that had not seen it", style="dim"),
        links,
    )
    return Panel(body, title="what happened a moment ago changes what is shown next", border_style="green")
