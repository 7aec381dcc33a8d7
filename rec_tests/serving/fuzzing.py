"""Wrong and odd requests to every address of the API, the same for the same seed, and what came of them."""

import json
import random
import string
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from rec_assets.serving.api import OPERATIONS

SECONDS = 20.0  # without an answer for so long, a request hangs
STREAM = "/events"  # never ends: asked for apart
NUMBERS = "0 -1 1 1e999 -1e999 NaN Infinity 1e-400 0.1 1.0 101 9223372036854775808 " + "9" * 400
TEXTS = [
    "",
    " ",
    "\x00",
    "i1",
    "u1",
    "\ud800",
    "é",
    "x" * 257,
    "y" * 5_000,
    "../../etc/passwd",
    "'; drop table items; --",
    "1e3",
]
FILTERS = [
    "price < 20", "categories", "title == 'x'", "now > 0", "2 ** 99999 > 1", "not " * 600 + "x", "(" * 900 + "1",
    "price" * 300, "__import__('os').system('x')", "x in [" + "1," * 600 + "]", "f'{x}'", "lambda: 1", "categories[0]",
    "a.b.c", "[x for x in y]", "'a' in categories and " * 60 + "'b' in categories", "price < 1 < 2 < 3", "1\n2",
    "\x0c1", "'Drama' in categories", "-" * 900 + "1 < price",
]  # fmt: skip
HEADERS = [
    {"content-type": "text/plain"}, {"content-type": "application/x-msgpack"}, {"content-encoding": "gzip"},
    {"accept": "image/png"}, {"content-type": "application/vnd.bentoml+pickle"}, {"origin": "null"},
    {"content-type": "multipart/form-data"}, {"range": "bytes=0-1"},
]  # fmt: skip


class Asked(NamedTuple):
    """One request."""

    method: str
    url: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Found:
    """What came of many requests; `wrong` has those that broke a promise, each with what it did."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[tuple[Asked, str]] = field(default_factory=list)

    def add(self, more: "Found") -> None:
        """What came of others, too."""
        self.statuses += more.statuses
        self.slowest = max(self.slowest, more.slowest)
        self.wrong += more.wrong


def requests(seed: int, number: int) -> Iterator[Asked]:
    """So many odd requests, to all addresses in turn."""
    rng = random.Random(seed)
    operations = [operation for operation in OPERATIONS if operation.path != STREAM]
    for n in range(number):
        operation = operations[n % len(operations)]
        path = operation.path.replace("{item_id}", _id(rng)).replace("{user_id}", _id(rng))
        query = ""
        if operation.asks is not None or rng.random() < 0.1:
            pairs = [
                (rng.choice(["k", "filter", "query", "what", ""]), _query_value(rng)) for _ in range(rng.randrange(4))
            ]
            query = "?" + "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs)
        body = b"" if operation.example is None and rng.random() < 0.9 else _body(rng, operation.example or {"a": 1})
        yield Asked(operation.method, path + query, body, _headers(rng))


def _id(rng: random.Random) -> str:
    return rng.choice(["i1", "u1", "%00", "%FF%FE", "a/b", "..%2F..", "%20", "x" * 300, "%F0%9F%98%80", "i1;--", "."])


def _query_value(rng: random.Random) -> str:
    return rng.choice([*TEXTS, *FILTERS, *NUMBERS.split()])


def _headers(rng: random.Random) -> dict[str, str]:
    return rng.choice(HEADERS) if rng.random() < 0.2 else {"content-type": "application/json"}


def _body(rng: random.Random, example: dict[str, Any]) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(
            [b"", b" ", b"[]", b"{}", b"null", b"\xef\xbb\xbf{}", b"[" * 50_000, b'{"a":' * 50_000, rng.randbytes(200)]
        )
    told = json.loads(json.dumps(example))
    for _ in range(rng.randrange(4)):
        name = rng.choice([*told, "filter", "context", "boosts", "caps", "pins", "seen", "value", "occurred_at", "odd"])
        told[name] = _value(rng, 3)
    if "user_id" in told and rng.random() < 0.2:
        told["history_item_ids"] = [rng.choice(["i1", "i2", ""]) for _ in range(rng.choice([1, 5, 1_001]))]
        del told["user_id"]
    whole: Any = told if rng.random() < 0.8 else [told] * rng.choice([0, 1, 3, 1_001])
    text = json.dumps(whole, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        text = text.replace(b"5", rng.choice(NUMBERS.split()).encode(), 1)
    if rng.random() < 0.4:
        text = _torn(rng, text)
    return text


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(7 if depth else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -1, 5, 2**63, -(2**64), 10**30, 0.5, -0.0, 1e308, 5e-324])
    if kind == 2:
        return rng.choice(TEXTS)
    if kind == 3:
        return rng.choice(FILTERS)
    if kind == 4:
        return "".join(rng.choices(string.printable, k=rng.randrange(30)))
    if kind == 5:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {
        rng.choice(["filter", "factor", "item_id", "place", "a", ""]): _value(rng, depth - 1)
        for _ in range(rng.randrange(4))
    }


def _torn(rng: random.Random, text: bytes) -> bytes:
    """The bytes with a piece cut out, doubled or replaced."""
    at = rng.randrange(len(text) + 1)
    end = min(len(text), at + rng.randrange(1, 9))
    put = rng.choice([b"", text[at:end] * 2, rng.randbytes(end - at), b'"', b"\\ud800", b"\x00", b",,"])
    return text[:at] + put + text[end:]


def send(url: str, key: str, asked: Iterator[Asked], threads: int = 4) -> Found:
    """Send them all, a few at a time. No 5xx, no hang; what is refused says why."""
    found, turn = Found(), threading.Lock()

    def work() -> None:
        with httpx.Client(base_url=url, timeout=SECONDS) as http:
            while True:
                with turn:
                    one = next(asked, None)
                if one is None:
                    return
                status, seconds, wrong = _send(http, key, one)
                with turn:
                    found.statuses[status] += 1
                    found.slowest = max(found.slowest, seconds)
                    if wrong:
                        found.wrong.append((one, wrong))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def _send(http: httpx.Client, key: str, one: Asked) -> tuple[int, float, str]:
    started = time.perf_counter()
    headers = {**one.headers, "Authorization": f"Bearer {key}"}
    try:
        answer = http.request(one.method, one.url, content=one.body, headers=headers)
    except httpx.HTTPError as error:
        return 0, time.perf_counter() - started, f"no answer: {error!r}"
    seconds = time.perf_counter() - started
    if answer.status_code >= 500:
        return answer.status_code, seconds, f"{answer.status_code}: {answer.text[:200]}"
    if answer.status_code >= 400:
        try:
            said = bool(answer.json()["error"]["message"])
        except (ValueError, KeyError, TypeError):
            said = False
        if not said:
            return answer.status_code, seconds, f"{answer.status_code} without a reason: {answer.text[:200]}"
    return answer.status_code, seconds, ""
