"""What an item is about, before anyone has touched it: a vector of its title's and categories' words.

Words weigh by their rarity (tf-idf) and are hashed into random ±1 directions of 64 dimensions, so that the cosine
of two vectors is about that of the two bags of words, and no vocabulary has to be kept.
"""

import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rec_assets.features import codes as coding
from rec_assets.features.blocks import extended
from rec_assets.features.codes import Codes

DIM = 64
BUCKETS = 1 << 16
_WORD = re.compile(r"\w+")


@dataclass
class Content:
    """I items."""

    vectors: npt.NDArray[np.float32]  # [I, 64] of length 1, or 0 where nothing is known
    word_items: npt.NDArray[np.int32]  # [65536] items that had a word of this bucket
    items: int = 0
    codes: Codes = field(init=False)  # of the vectors, for the search among them
    changes: int = field(init=False, default=0)  # made to the vectors since they were loaded
    changed_at: npt.NDArray[np.int64] = field(init=False)  # [I] which of them was an item's last one

    def __post_init__(self) -> None:
        """Make what follows from the vectors."""
        self.codes = coding.of(self.vectors)
        self.changed_at = np.zeros(len(self.vectors), np.int64)


def empty() -> Content:
    """No items."""
    return Content(np.zeros((0, DIM), np.float32), np.zeros(BUCKETS, np.int32))


def with_items(content: Content, number: int) -> None:
    """Make room for so many items."""
    content.vectors = extended(content.vectors, number, 0)
    coding.fit(content.codes, number)
    content.changed_at = extended(content.changed_at, number, 0)


def _direction(word: str) -> npt.NDArray[np.float32]:
    """64 signs that depend on the word alone."""
    digest = hashlib.blake2b(word.encode(), digest_size=DIM // 8).digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) * 2 - 1


def describe(content: Content, item: int, title: str | None, categories: Sequence[str]) -> None:
    """Take in what a catalogue row says of an item; it replaces what was said before."""
    words = _WORD.findall((title or "").lower()) + ["category:" + category.lower() for category in categories]
    content.items += 1
    vector = np.zeros(DIM, np.float32)
    for word in dict.fromkeys(words):
        bucket = zlib.crc32(word.encode()) % BUCKETS
        content.word_items[bucket] += 1
        rarity = np.log(1 + content.items / content.word_items[bucket])
        vector += np.float32(words.count(word) * rarity) * _direction(word)
    length = np.sqrt(np.sum(vector * vector))
    place(content, item, vector / length if length > 0 else vector)


def place(content: Content, first: int, vectors: npt.NDArray[np.float32]) -> None:
    """Give items from key `first` on their vectors, f32[64] or f32[n, 64]."""
    vectors = np.atleast_2d(vectors)
    content.vectors[first : first + len(vectors)] = vectors
    coding.put(content.codes, first, vectors)
    content.changes += 1
    content.changed_at[first : first + len(vectors)] = content.changes
