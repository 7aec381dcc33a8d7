"""Every address of the API in one table: routes, scopes and the OpenAPI document are made from it."""

from typing import Annotated, Any, NamedTuple

from rec_assets.serving import messages
from rec_assets.serving.keys import Scope

VERSION = "1"  # of the API; answers carry it as the header API-Version


class Operation(NamedTuple):
    """One method of one address. `name` is the function of routes.py that answers."""

    method: str
    path: str
    name: str
    scope: Scope
    summary: str
    takes: Any = None  # the type of the body
    asks: type | None = None  # the type of the address's query
    gives: Any = None  # the type of the answer; None: not JSON of ours
    example: Any = None  # of the body


OPERATIONS = (
    Operation(
        "POST", "/recommend", "recommend", "read",
        "The list for a user, or for a session whose history is told",
        takes=messages.Recommend, gives=messages.Recommended,
        example={"user_id": "42", "k": 5, "filter": '"Comedy" in categories', "diversity": 0.2},
    ),
    Operation(
        "POST", "/rank", "rank", "read",
        "These items, best first",
        takes=messages.Rank, gives=messages.Recommended,
        example={"user_id": "42", "item_ids": ["50", "181", "172"]},
    ),
    Operation(
        "POST", "/similar", "similar", "read",
        "What goes with an item",
        takes=messages.Similar, gives=messages.Recommended, example={"item_id": "50", "k": 5},
    ),
    Operation(
        "POST", "/explain", "explain", "read",
        "Why an item would be recommended: sources, features and history items that count most",
        takes=messages.Explain, gives=messages.Explained, example={"user_id": "42", "item_id": "50"},
    ),
    Operation(
        "GET", "/trending", "trending", "read",
        "Items whose share of the last day is above that of the last week",
        asks=messages.Listing, gives=messages.Found,
    ),
    Operation("GET", "/popular", "popular", "read", "Popular items", asks=messages.Listing, gives=messages.Found),
    Operation("GET", "/new", "new", "read", "New items, the newest first", asks=messages.Listing, gives=messages.Found),
    Operation(
        "POST", "/feedback", "feedback", "feedback",
        "Something happened: one event or a list of at most 1,000, on the disk when this is answered",
        takes=messages.Event | Annotated[list[messages.Event], messages.Rows], gives=messages.Stored,
        example={"user_id": "42", "item_id": "50", "event": "click"},
    ),
    Operation(
        "GET", "/items", "items", "read", "Items whose title, categories or names (of a brand, …) hold every word",
        asks=messages.Search, gives=messages.Found,
    ),
    Operation(
        "POST", "/items", "upsert", "admin",
        "Add or change one item or a list of at most 1,000; the next list knows it",
        takes=messages.ItemRow | Annotated[list[messages.ItemRow], messages.Rows], gives=messages.Stored,
        example={"item_id": "50", "title": "Star Wars (1977)", "categories": ["Action"], "price": 9.99},
    ),
    Operation("GET", "/items/{item_id}", "item", "read", "An item", gives=messages.Shown),
    Operation(
        "DELETE", "/items/{item_id}", "delete", "admin",
        "Take an item out of all lists; an upsert with deleted: false brings it back", gives=messages.Stored,
    ),
    Operation(
        "GET", "/users", "users", "read", "Some users, at random", asks=messages.Some, gives=messages.SomeUsers
    ),
    Operation(
        "POST", "/users", "describe", "admin",
        "What is said of one user or a list of at most 1,000, in place of what was said before",
        takes=messages.UserRow | Annotated[list[messages.UserRow], messages.Rows], gives=messages.Stored,
        example={"user_id": "42", "country": "NL", "segment": "student"},
    ),
    Operation(
        "GET", "/users/{user_id}", "user", "read", "What is known of a user", asks=messages.Some, gives=messages.User
    ),
    Operation(
        "DELETE", "/users/{user_id}", "forget", "admin",
        "Forget a user: lists do at once, the pipeline then takes them out of log, tables and checkpoints",
        gives=messages.Forgotten,
    ),
    Operation(
        "GET", "/vocabulary", "vocabulary", "read", "What feedback may say: the kinds of events of this installation",
        gives=messages.Vocabulary,
    ),
    Operation(
        "GET", "/models", "models", "read", "The checkpoint that is served, and those that are kept",
        gives=messages.Models,
    ),
    Operation("GET", "/status", "status", "read", "What is served and how fresh it is", gives=dict[str, Any]),
    Operation("GET", "/events", "events", "read", "The same as server-sent events, whenever it changes"),
    Operation("GET", "/metrics", "metrics", "read", "What all workers have counted, for Prometheus"),
)  # fmt: skip
