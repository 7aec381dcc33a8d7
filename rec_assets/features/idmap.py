"""Ids from outside and their keys: 0, 1, 2, … in order of first appearance in the log."""

from collections.abc import Iterable


class IdMap:
    """A key is never given to another id, and no id is ever taken out."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids = list(ids)
        self._keys = {id_: key for key, id_ in enumerate(self.ids)}

    def __len__(self) -> int:
        """Ids that have a key."""
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
