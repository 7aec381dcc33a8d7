"""What an item is about, before anyone has touched it: one vector of its words, its numbers and its ready-made vectors.

Words weigh by their rarity (tf-idf) and are hashed into random ±1 directions of 64 dimensions, so that the cosine
of two vectors is about that of the two bags of words, and no vocabulary has to be kept. A vector that comes with the
item (of its text by a sentence encoder, of its picture) is turned into the same dimensions by directions of its own
(Johnson and Lindenstrauss 1984), less the mean of those before it; a number is standardised on those before it.
"""

import functools
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rec_assets.features import codes as coding
from rec_assets.features.blocks import extended
from rec_assets.features.codes import Codes

DIM = 64
BUCKETS = 1 << 16
NUMBERS = 0.3  # the length of all numbers together where they are one standard deviation off; words and vectors have 1
CLIP = 3.0  # standard deviations
LARGEST = 1e100
FEW = 10  # the mean of fewer vectors is held back
_WORD = re.compile(r"\w+")
_object = msgspec.json.Decoder(dict[str, Any])

Floats = npt.NDArray[np.float32]


@dataclass
class Content:
    """I items."""

    vectors: Floats  # [I, 64] of length 1, or 0 where nothing is known
    word_items: npt.NDArray[np.int32]  # [65536] items that had a word of this bucket
    items: int = 0
    # By the name of an attribute what is usual: of a number how many, their mean and the sum of their squared
    # differences from it, f64[3]; of a vector how many and their mean, f64[65].
    usual: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
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


def _direction(word: str) -> Floats:
    """64 signs that depend on the word alone."""
    digest = hashlib.blake2b(word.encode(), digest_size=DIM // 8).digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) * 2 - 1


@functools.lru_cache(16)
def _directions(name: str, length: int) -> Floats:
    """The directions [length, 64] of a vector's places."""
    return np.stack([_direction(f"vector:{name}:{place}") for place in range(length)])


def is_vector(value: object) -> bool:
    """Whether an attribute is a ready-made vector."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(number, int | float) for number in value)


def describe(content: Content, item: int, title: str | None, categories: Sequence[str], attributes: str = "{}") -> None:
    """Take in what a catalogue row says of an item; it replaces what was said before. `attributes` is a JSON object,
    of which numbers and lists of numbers count.
    """
    content.items += 1
    vector = _of_words(content, title, categories)
    if attributes != "{}":
        told = sorted(_object.decode(attributes).items())
        for name, value in told:
            if is_vector(value):
                vector += _of_vector(content, name, np.array([_bounded(number) for number in value]))
        numbers = {
            name: value for name, value in told if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for name, value in numbers.items():
            vector += _of_number(content, name, _bounded(value)) * np.float32(NUMBERS / len(numbers) ** 0.5)
        vector = _unit(vector)
    place(content, item, vector)


def place(content: Content, first: int, vectors: Floats) -> None:
    """Give items from key `first` on their vectors, f32[64] or f32[n, 64]."""
    vectors = np.atleast_2d(vectors)
    content.vectors[first : first + len(vectors)] = vectors
    coding.put(content.codes, first, vectors)
    content.changes += 1
    content.changed_at[first : first + len(vectors)] = content.changes


def _unit(vector: Floats) -> Floats:
    length = np.sqrt(np.sum(vector * vector))
    return vector / length if length > 0 else vector


def _bounded(number: float) -> float:
    """As a float, also where JSON has a whole number that is none."""
    return float(min(max(number, -LARGEST), LARGEST))


def _of_words(content: Content, title: str | None, categories: Sequence[str]) -> Floats:
    """Of length 1; 0 without words."""
    words = _WORD.findall((title or "").lower()) + ["category:" + category.lower() for category in categories]
    vector = np.zeros(DIM, np.float32)
    for word in dict.fromkeys(words):
        bucket = zlib.crc32(word.encode()) % BUCKETS
        content.word_items[bucket] += 1
        rarity = np.log(1 + content.items / content.word_items[bucket])
        vector += np.float32(words.count(word) * rarity) * _direction(word)
    return _unit(vector)


def _of_vector(content: Content, name: str, vector: npt.NDArray[np.float64]) -> Floats:
    """Of length 1; 0 for one that is 0."""
    length = np.sqrt(np.sum(vector * vector))
    if not length > 0:
        return np.zeros(DIM, np.float32)
    turned = (vector / length) @ _directions(name, len(vector)) / DIM**0.5
    usual = content.usual.get(name)
    if usual is None or len(usual) != 1 + DIM:
        usual = content.usual[name] = np.zeros(1 + DIM)
    away = turned - usual[1:] * usual[0] / (usual[0] + FEW)
    usual[0] += 1
    usual[1:] += (turned - usual[1:]) / usual[0]
    return _unit(away.astype(np.float32))


def _of_number(content: Content, name: str, number: float) -> Floats:
    """As long as its logarithm is standard deviations away from the mean."""
    number = float(np.sign(number) * np.log1p(abs(number)))
    usual = content.usual.get(name)
    if usual is None or len(usual) != 3:
        usual = content.usual[name] = np.zeros(3)
    before = number - usual[1]
    usual[0] += 1
    usual[1] += before / usual[0]
    usual[2] += before * (number - usual[1])
    spread = np.sqrt(usual[2] / usual[0])
    away = np.clip((number - usual[1]) / spread, -CLIP, CLIP) if spread > 0 else 0.0
    return _direction(f"number:{name}") * np.float32(away / DIM**0.5)
