"""What a request may say and what it is answered. The OpenAPI document is made from these types."""

import functools
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

BODY_BYTES = 4 << 20  # 1,000 events of 4 KiB
IDS_LIMIT = 1_000
Rows = Meta(min_length=1, max_length=IDS_LIMIT)  # of a body that is a list
Id = Annotated[str, Meta(min_length=1, max_length=256)]
Ids = Annotated[list[Id], Meta(max_length=IDS_LIMIT)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Places = Annotated[int, Meta(ge=1, le=100)]
NO_ATTRIBUTES = functools.partial(msgspec.Raw, b"{}")
Attributes = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"}, description="All else of the item.")]
Share = Annotated[float, Meta(ge=0, le=1)]
FilterText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2_000,
        description="Which items may be listed, by their attributes.",
        examples=['price < 20 and "Comedy" in categories'],
    ),
]


class Boost(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Multiplies the odds of the items that match; a factor below 1 buries them."""

    filter: FilterText
    factor: Annotated[float, Meta(ge=1e-6, le=1e6)]


class Pin(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An item that stands at a place, from 1, whatever its score."""

    item_id: Id
    place: Places


class Who(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """For whom: a user, or a session whose items are told here, oldest first. Exactly one of the two."""

    user_id: Id | None = None
    history_item_ids: Ids | None = None


class Control(Who, frozen=True, kw_only=True):
    """What may be listed, and how the list is picked. Business rules come on top."""

    filter: FilterText | None = None
    exclude_item_ids: Ids = []
    seen: Annotated[
        Literal["never", "allowed"] | Annotated[float, Meta(gt=0, le=36_500)] | None,
        Meta(description="Whether what the user had may come again: never, allowed, or after so many days."),
    ] = None
    placement: Annotated[Name | None, Meta(description="Where the list is shown; rules may hold for it alone.")] = None
    boosts: Annotated[list[Boost], Meta(max_length=20)] = []
    pins: Annotated[list[Pin], Meta(max_length=20)] = []
    caps: Annotated[
        dict[Name, Places],
        Meta(max_length=10, description="The most items of the list that share a value of an attribute."),
    ] = {}
    diversity: Annotated[Share | None, Meta(description="0: by score alone; 1: as unlike each other as can be.")] = None
    freshness: Annotated[Share | None, Meta(description="1 divides an item's odds by its age in days, plus 1.")] = None
    novelty: Annotated[Share | None, Meta(description="1 divides an item's odds by its events, plus 1.")] = None
    exploration: Annotated[Share | None, Meta(description="The share of places that are filled at random.")] = None


class Recommend(Control, frozen=True, kw_only=True):
    """A wish for a list."""

    k: Places = 10


class Rank(Control, frozen=True, kw_only=True):
    """A wish to have these items put in order; what is not known or not allowed is left out."""

    item_ids: Annotated[Ids, Meta(min_length=1)]


class Similar(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A wish for what goes with an item."""

    item_id: Id
    k: Places = 10
    filter: FilterText | None = None
    exclude_item_ids: Ids = []
    placement: Name | None = None


class Explain(Who, frozen=True, kw_only=True):
    """Why an item would be recommended."""

    item_id: Id


class Item(msgspec.Struct, omit_defaults=True):
    """One place of a list, best first. `source` is the candidate source that ranks the item highest."""

    item_id: str
    score: float
    source: str
    title: str | None = None
    categories: list[str] = []
    attributes: Attributes = msgspec.field(default_factory=NO_ATTRIBUTES)
    propensity: float = 1.0  # the probability with which this place shows this item


class Recommended(msgspec.Struct):
    """A list. `offset`: all of the log before it was known to the ranking; `now`: the log's own time, ISO, UTC."""

    request_id: str
    checkpoint: str | None
    offset: int
    now: str
    rules: str  # version of the business rules
    items: list[Item]
    # null; "late": the ranking would have come too late, so these are popular items, under the same rules
    fallback: Literal["late"] | None = None


class Shown(msgspec.Struct, omit_defaults=True):
    """An item as a card shows it."""

    item_id: str
    title: str | None = None
    categories: list[str] = []
    attributes: Attributes = msgspec.field(default_factory=NO_ATTRIBUTES)


class Some(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How many."""

    k: Places = 10


class Listing(Some, frozen=True):
    """What to list."""

    filter: FilterText | None = None


class Search(Some, frozen=True):
    """What to look for: every word in title, categories or names."""

    query: Annotated[str, Meta(max_length=256)] = ""


class Found(msgspec.Struct):
    """Items, in the order that was asked for."""

    items: list[Shown]


class SourceShare(msgspec.Struct):
    """What one candidate source or feature says of the item."""

    name: str
    value: float  # as the ranker is given it
    effect: float  # what the score loses where the feature says what it says on average


class HistoryShare(msgspec.Struct):
    """What the score loses without an item of the history."""

    item_id: str
    title: str | None
    effect: float | None  # null: without it no source would propose the item


class Explained(msgspec.Struct):
    """Why an item has its place. Effects are differences of the score, whose exponential is the odds."""

    item_id: str
    checkpoint: str | None
    place: int | None  # in the list of all candidates, from 1; null where no source proposes it
    score: float | None
    source: str | None
    features: list[SourceShare]  # those that count most, first
    history: list[HistoryShare]
    kinds: dict[str, float] = {}  # the chance of each kind, were the next event with this item; {} with one kind only
    rating: float | None = None  # and the rating expected; null where nothing is rated


class Stored(msgspec.Struct):
    """What became of the events: on the disk, at these offsets of the log."""

    accepted: int
    repeated: int  # had an event_id that the log has already
    offsets: list[int]


class Event(msgspec.Struct):
    """Something that happened. One of these or a list of at most 1,000."""

    user_id: Id
    event: Annotated[str, Meta(description="A kind of the configured vocabulary.", examples=["click"])]
    item_id: Id | None = None
    event_id: Annotated[Id | None, Meta(description="Sent again, it counts once.")] = None
    value: float | None = None
    occurred_at: Annotated[str | float | None, Meta(description="ISO 8601 or seconds since 1970; default now.")] = None
    request_id: Annotated[Id | None, Meta(description="The list that caused it.")] = None
    context: Annotated[Any, Meta(description="Whatever else is known: device, page, position, …")] = None


class ItemRow(msgspec.Struct):
    """An item of the catalogue. What is given replaces what was said, null takes it away, the rest stays.

    `hidden` and `deleted` keep it out of all lists; further fields are attributes that filters and rules can ask for.
    """

    item_id: Id
    title: str | UnsetType | None = UNSET
    categories: list[str] | UnsetType | None = UNSET
    hidden: bool | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class UserRow(msgspec.Struct):
    """What is said of a user; further fields are attributes, which the table `users` keeps."""

    user_id: Id


class Had(Shown):
    """An item of a history, and when the user had it, in the log's time, ISO, UTC."""

    at: str = ""


class User(msgspec.Struct):
    """What is known of a user."""

    user_id: str
    events: int
    first_at: str | None
    last_at: str | None
    history: list[Had]  # newest first
    forgetting: bool  # was asked to be forgotten, and files still have what was before


class Forgotten(msgspec.Struct):
    """What becomes of a user who is to be forgotten. Asked again, it is the same until all is done."""

    user_id: str
    offset: int  # of the log; all before it is forgotten, and whoever comes back after it is new
    lists: Literal["forgotten"]  # what every worker knows of the user from this answer on: nothing
    files: str  # what becomes of log, tables and checkpoints, and where to look


class SomeUser(msgspec.Struct):
    """A user, for a choice on the page."""

    user_id: str
    events: int


class SomeUsers(msgspec.Struct):
    """Users at random."""

    users: list[SomeUser]


class KindTold(msgspec.Struct):
    """A kind of event: for its item with a weight above 0, against it below; a target is predicted and scored."""

    event: str
    weight: float
    target: bool
    value: Literal["", "rating", "price", "seconds"]  # what the number of such an event means


class Vocabulary(msgspec.Struct):
    """What feedback may say in this installation."""

    domain: str
    repeats: bool  # whether a list may hold again what its user had
    kinds: list[KindTold]


class Checkpoint(msgspec.Struct):
    """A checkpoint that is kept."""

    id: str
    parent: str | None
    created_at: str
    start: int  # learnt from [start, watermark) of the log
    watermark: int
    promoted: bool


class Models(msgspec.Struct):
    """What is served and what else could be."""

    serving: str | None
    checkpoints: list[Checkpoint]  # newest first


class Problem(msgspec.Struct, omit_defaults=True):
    """What is wrong with a request."""

    message: str
    field: str | None = None
    index: int | None = None  # in a list of events


class Failure(msgspec.Struct):
    """The answer to a request that gets none else."""

    error: Problem
