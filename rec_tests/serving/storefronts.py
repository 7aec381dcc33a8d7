"""A small catalogue for each kind of store, and an installation that holds one."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from live_service import ITEMS, START, fill, settings_in

from rec_assets.log import Draft, Log
from rec_assets.settings import DOMAINS, Settings

GENRES = ["Drama", "Comedy", "Thriller", "Animation", "Science fiction", "Romance"]
FILMS = (
    ["The Quiet", "Paper", "Northern", "A Winter's", "The Last", "Silver", "Midnight", "Glass", "The Salt", "Blue"],
    ["Harbour", "Lanterns", "Orchard", "Passage", "Letters", "Garden"],
)
THINGS = {
    "Kitchen": ["Enamel mug", "Walnut board", "Olive oil can", "Pour-over kettle"],
    "Bags": ["Canvas tote", "Weekend bag", "Bicycle pannier", "Felt sleeve"],
    "Lighting": ["Desk lamp", "Paper pendant", "Reading light", "Bedside lamp"],
    "Stationery": ["Dot notebook", "Brass pencil", "Wall planner", "Letter set"],
    "Audio": ["Shelf speaker", "Closed headphones", "Travel radio", "Turntable mat"],
}
BRANDS = ["Nord & Co", "Fieldwork", "Atelier Roux", "Morrow", "Plain Goods"]
HEADLINES = [
    "City council votes to {} the riverside {}",
    "Why engineers want to {} every {}",
    "A small town learns to {} its {}",
    "Researchers {} an old {} and find something new",
    "What it takes to {} a {} in one winter",
]
DEEDS, MATTERS = ["rebuild", "open", "save", "map", "electrify"], ["tram line", "library", "power grid", "harbour"]
PAPERS, DESKS = (
    ["The Courier", "Daily Ledger", "Northern Post", "Weekend Review"],
    ["World", "Science", "Culture", "City"],
)


def film(i: int) -> dict[str, object]:
    first, second = FILMS
    name = f"{first[i % len(first)]} {second[i // len(first) % len(second)]}"
    genres = [GENRES[i % len(GENRES)], GENRES[(i // 2 + 3) % len(GENRES)]]
    return {"title": name, "categories": list(dict.fromkeys(genres)), "year": 1950 + i}


def thing(i: int) -> dict[str, object]:
    kind = list(THINGS)[i % len(THINGS)]
    name = THINGS[kind][i // len(THINGS) % 4]
    stock = 0 if i % 11 == 10 else i % 9 + 1 if i % 3 == 0 else 40
    colour = ["sand", "ink", "moss"][i // 20 % 3]
    return {
        "title": f"{name}, {colour}",
        "categories": [kind],
        "brand": BRANDS[(i // 2) % len(BRANDS)],
        "price": round(9 + 7.9 * (i * 7 % 23), 2),
        "currency": "EUR",
        "stock": stock,
    }


def article(i: int) -> dict[str, object]:
    published = datetime.fromtimestamp(START, UTC) - timedelta(hours=i * 1.7)
    title = HEADLINES[i % len(HEADLINES)].format(DEEDS[i // 5 % len(DEEDS)], MATTERS[i // 3 % len(MATTERS)])
    return {
        "title": title,
        "categories": [DESKS[i % len(DESKS)]],
        "publisher": PAPERS[i // 2 % len(PAPERS)],
        "published": published.isoformat(timespec="minutes"),
        "read_minutes": 2 + i * 5 % 11,
    }


STORES = {"film": (film, "any"), "shop": (thing, "e-commerce"), "news": (article, "news")}


def installation(folder: Path, store: str, events: int = 600) -> Settings:
    """An installation whose log holds a store's catalogue and a stream of that store's events."""
    made, domain = STORES[store]
    settings = settings_in(folder).model_copy(update={"domain": domain, "kinds": DOMAINS[domain]})
    fill(settings, 0).close()
    kinds = random.Random(store)
    with Log.open(settings.log_dir) as log:
        rows = [{"item_id": f"i{i}", **made(i)} for i in range(ITEMS)]
        log.append([Draft("item", json.dumps(row).encode()) for row in rows], "test")
        log.append(as_told(events, [name for name, kind in DOMAINS[domain].items() if kind.target], kinds), "test")
    return settings


def as_told(events: int, kinds: list[str], choose: random.Random) -> list[Draft]:
    """The usual stream, of these kinds."""
    from live_service import stream

    told = []
    for draft in stream(events):
        event = json.loads(draft.payload) | {"event": choose.choice(kinds)}
        told.append(draft._replace(payload=json.dumps(event).encode()))
    return told
