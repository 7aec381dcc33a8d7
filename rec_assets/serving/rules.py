"""Business rules: a reviewed TOML file that is read again whenever it has changed, and kept as it was when it is wrong.

[[rule]]
name = "only what we can ship"
only = "stock > 0"

[[rule]]
name = "spring sale"
placements = ["home"]
from = 2026-03-01T00:00:00Z
until = 2026-04-01T00:00:00Z
boost = "on_sale"
factor = 2.0
"""

import hashlib
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rec_assets.serving.expression import BadFilter, Filter, read

ACTIONS = ("only", "hide", "boost", "pin", "cap", "diversity", "freshness", "novelty", "exploration")
Name = Annotated[str, Field(min_length=1, max_length=128)]
Share = Annotated[float, Field(ge=0, le=1)]


class BadRules(ValueError):
    """A rules file that cannot be used: what is wrong, rule by rule."""


class Rule(BaseModel, frozen=True):
    """One rule: when it holds, and exactly one of the ACTIONS with what belongs to it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Name
    placements: list[Name] = []  # the lists it holds for, as requests name them; all if none is named
    since: datetime | None = Field(None, alias="from")
    until: datetime | None = None
    only: str | None = None  # a filter: what does not match is in no list
    hide: str | None = None  # a filter: what matches is in no list
    boost: str | None = None  # a filter: what matches has its odds multiplied by `factor`; below 1 buries
    factor: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None
    pin: Name | None = None  # an item id that stands at `place`
    place: Annotated[int, Field(ge=1, le=100)] | None = None
    cap: Name | None = None  # an attribute of which a list holds a value at most `most` times
    most: Annotated[int, Field(ge=1, le=100)] | None = None
    diversity: Share | None = None
    freshness: Share | None = None
    novelty: Share | None = None
    exploration: Share | None = None

    @model_validator(mode="after")
    def _one_action(self) -> "Rule":
        given = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(ACTIONS)} is needed, found {', '.join(given) or 'none'}")
        for action, wanted in (("boost", "factor"), ("pin", "place"), ("cap", "most")):
            if (getattr(self, action) is None) != (getattr(self, wanted) is None):
                raise ValueError(f"{action} and {wanted} go together")
        for when in (self.since, self.until):
            if when is not None and when.tzinfo is None:
                raise ValueError(f"{when.isoformat()}: a time says its zone, as in {when.isoformat()}Z")
        return self

    @property
    def filter(self) -> str | None:
        """The filter of an only, a hide or a boost."""
        return self.only or self.hide or self.boost

    def holds(self, placement: str | None, now: float) -> bool:
        """Whether it holds for lists of this placement at a time in seconds."""
        when = datetime.fromtimestamp(now, UTC)
        return (
            (not self.placements or placement in self.placements)
            and (self.since is None or when >= self.since)
            and (self.until is None or when < self.until)
        )


class Rules:
    """The rules of one file. `version` is a hash of the file; every served list names it."""

    def __init__(self, rules: Sequence[Rule] = (), version: str = "none") -> None:
        self.version = version
        self.rules = [(rule, read(rule.filter) if rule.filter else None) for rule in rules]

    def holding(self, placement: str | None, now: float) -> list[tuple[Rule, Filter | None]]:
        """The rules that hold, in the order of the file, with their filters."""
        return [(rule, filter_) for rule, filter_ in self.rules if rule.holds(placement, now)]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rules)


def parse(content: bytes) -> Rules:
    """The rules of a file's content; BadRules names every rule and field that is wrong."""
    try:
        told: dict[str, Any] = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRules(f"this is no TOML: {error}") from None
    entries = told.get("rule", [])
    if set(told) - {"rule"} or not isinstance(entries, list):
        raise BadRules(f"only [[rule]] tables are read, found {', '.join(sorted(set(told) - {'rule'})) or 'rule'}")
    rules, wrong = [], []
    for number, entry in enumerate(entries, 1):
        called = entry.get("name", "without a name") if isinstance(entry, dict) else "no table"
        try:
            rule = Rule.model_validate(entry)
            if rule.filter:
                read(rule.filter)
            rules.append(rule)
        except ValidationError as error:
            for problem in error.errors():
                place = ".".join(map(str, problem["loc"]))
                wrong.append(f"rule {number} ({called}){': ' + place if place else ''}: {problem['msg']}")
        except BadFilter as error:
            wrong.append(f"rule {number} ({called}): filter {error}")
    names = [rule.name for rule in rules]
    wrong += [f"two rules are called {name!r}" for name in sorted({name for name in names if names.count(name) > 1})]
    if wrong:
        raise BadRules("\n".join(wrong))
    return Rules(rules, hashlib.sha256(content).hexdigest()[:12])


class RulesFile:
    """A rules file that may change, appear and go while it is used."""

    def __init__(self, path: Path) -> None:
        """Read the file; no file, no rules."""
        self.path, self.rules = path, Rules()
        self.error: str | None = None
        self._seen: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if it has changed; what cannot be used changes nothing but `error`. Whether it was."""
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.rules = parse(self.path.read_bytes()) if seen is not None else Rules()
        except (BadRules, OSError) as error:
            self.error = str(error)
            return True
        self.error = None
        return True
