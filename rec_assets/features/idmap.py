"""Ids from outside and their keys: 0, 1, 2, … in order of first appearance in the log."""

from collections.abc import Iterable

from rec_assets.log.record import digest_of

FORGOTTEN = ""  # stands where an id was: no id is empty


class IdMap:
    """A key is never given to another id, also not the key of one that was forgotten."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids = list(ids)
        self._keys = {id_: key for key, id_ in enumerate(self.ids) if id_ != FORGOTTEN}

    def __len__(self) -> int:
        """Keys that were given."""
        return len(self.ids)

    def key(self, id_: str) -> int:
        """The id's key, -1 if it has none."""
        return self._keys.get(id_, -1)

    def assign(self, id_: str) -> int:
        """The id's key, a new one if it has none."""
        key = self._keys.setdefault(id_, len(self.ids))
        if key == len(self.ids):
            self.ids.append(id_)
        return key

    def forget(self, digest: str, salt: str, key: int = -1) -> int:
        """Take out the id that has this digest and return its key, -1 if none has; `key` is looked at first."""
        if not (0 <= key < len(self.ids) and self._has(key, digest, salt)):
            key = next((each for each in range(len(self.ids)) if self._has(each, digest, salt)), -1)
        if key >= 0:
            self.take_out(key)
        return key

    def take_out(self, key: int) -> None:
        """Forget the id that has this key; nobody gets the key again."""
        del self._keys[self.ids[key]]
        self.ids[key] = FORGOTTEN

    def skip(self) -> None:
        """Give a key to an id that was forgotten, so that those after it get theirs."""
        self.ids.append(FORGOTTEN)

    def _has(self, key: int, digest: str, salt: str) -> bool:
        return self.ids[key] != FORGOTTEN and digest_of(self.ids[key], salt) == digest
