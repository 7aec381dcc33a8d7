"""API keys: made once, shown once, stored as hashes, changed while the service runs."""

import contextlib
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from rec_assets import durable
from rec_assets.serving.bodies import Refused

Scope = Literal["read", "feedback", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "feedback", "admin")
PREFIX = "rec_"  # so that whoever finds one in a text knows what it is
LOOK_SECONDS = 1.0
LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
logger = logging.getLogger(__name__)


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key as it is stored. A key is 32 random bytes, so that a plain hash tells nothing of it."""

    name: str
    sha256: str
    scopes: list[Scope]
    per_second: float | None  # requests; None: as many as come
    made_at: int  # seconds since 1970
    until: int | None = None  # seconds since 1970


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of keys.json."""

    keys: list[Key] = []

    def find(self, secret: str) -> Key | None:
        """The key that this secret is, unless its time is over; compares in constant time."""
        told, now = hashlib.sha256(secret.encode()).hexdigest(), time.time()
        for key in self.keys:
            if hmac.compare_digest(told, key.sha256) and (key.until is None or now < key.until):
                return key
        return None


def load(path: Path) -> Keys:
    """The stored keys, none where there is no file; ValueError for a file that is not ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Keys)
    except FileNotFoundError:
        return Keys()
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def add(path: Path, name: str, scopes: list[Scope], per_second: float | None) -> str:
    """Make a key and return its secret, which is stored nowhere; ValueError for a name that is taken."""
    with _changing(path) as keys:
        if any(key.name == name for key in keys):
            raise ValueError(f"there is a key called {name!r}; revoke or rotate it, or choose another name")
        secret = PREFIX + secrets.token_urlsafe(32)
        keys.append(Key(name, _hash(secret), scopes, per_second, int(time.time())))
    return secret


def rotate(path: Path, name: str, overlap_seconds: int) -> str:
    """A new secret for a key; the old one goes on for `overlap_seconds`. ValueError where there is no such key."""
    with _changing(path) as keys:
        old = _named(keys, name)
        secret, now = PREFIX + secrets.token_urlsafe(32), int(time.time())
        keys.remove(old)
        keys[:] = [key for key in keys if key.until is None or key.until > now]
        keys.append(Key(name, _hash(secret), old.scopes, old.per_second, now))
        if overlap_seconds > 0:
            retired = f"{name} until {now + overlap_seconds}"
            keys.append(Key(retired, old.sha256, old.scopes, old.per_second, old.made_at, now + overlap_seconds))
    return secret


def revoke(path: Path, name: str) -> None:
    """A key counts no more. ValueError where there is no such key."""
    with _changing(path) as keys:
        keys.remove(_named(keys, name))


def _named(keys: list[Key], name: str) -> Key:
    for key in keys:
        if key.name == name:
            return key
    raise ValueError(f"there is no key called {name!r}; there are: {', '.join(key.name for key in keys) or 'none'}")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """The keys, to be changed by one process at a time and stored at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.locked(path.with_name(f".{path.name}.lock")):
        keys = list(load(path).keys)
        yield keys
        durable.replace(path, msgspec.json.format(msgspec.json.encode(Keys(keys))))
        path.chmod(0o600)


class Guard:
    """Who may ask for what. Reads keys.json again when it has changed; one token bucket per key and worker."""

    def __init__(self, path: Path, workers: int, anyone: bool) -> None:
        """`anyone`: without keys, answer not only this machine."""
        self._path, self._workers, self._anyone = path, workers, anyone
        self._keys, self._seen, self._looked_at = Keys(), 0, 0.0
        self._buckets: dict[str, tuple[float, float]] = {}  # name -> (tokens, when)

    def admit(self, scope: Scope, secret: str | None, client: str | None) -> None:
        """Return for a request that may go on; Refused with 401, 403 or 429 else.

        `secret` is what the request carries, `client` the address it comes from. Without any key all is open to this
        machine but for `admin`, which needs one.
        """
        self._refresh()
        if not self._keys.keys:
            if scope == "admin":
                raise Refused(403, "this needs a key with the scope admin: `rec keys add NAME --scope admin`")
            if not self._anyone and client not in LOCAL:
                raise Refused(403, "there are no keys yet, so only this machine is answered; see `rec keys --help`")
            return
        if secret is None:
            raise Refused(401, "a key is needed, as the header `Authorization: Bearer KEY`")
        key = self._keys.find(secret)
        if key is None:
            raise Refused(401, "this key is not known, was revoked, or its time is over")
        if scope not in key.scopes:
            raise Refused(403, f"the key {key.name!r} has the scopes {', '.join(key.scopes)}; this needs {scope}")
        if key.per_second is not None:
            self._spend(key.name, key.per_second / self._workers)

    def _spend(self, name: str, per_second: float) -> None:
        now, most = time.monotonic(), max(1.0, per_second)  # a second's worth may come at once
        tokens, when = self._buckets.get(name, (most, now))
        tokens = min(most, tokens + (now - when) * per_second)
        if tokens < 1:
            raise Refused(429, f"the key {name!r} has used up its requests per second")
        self._buckets[name] = (tokens - 1, now)

    def _refresh(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            seen = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            seen = 0
        if seen == self._seen:
            return
        try:
            self._keys, self._seen = load(self._path), seen
        except ValueError:
            logger.exception("the keys stay as they were")
