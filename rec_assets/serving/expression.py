"""Filters: a small safe language over item attributes, in Python's own words and read by Python's own parser.

    price < 20 and "Comedy" in categories
    category in ["shoes", "bags"] and not discontinued and stock > 0
    released >= "2024-01-01" and available_from <= now

Nothing is ever executed: the text becomes a tree of the few shapes below, and the tree becomes NumPy masks.
"""

import ast
import operator
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.serving.attributes import Attributes, seconds_of

LONGEST = 2_000  # characters of one filter
DEEPEST = 50  # levels of one filter
NOW = "now"  # the log's own time, in seconds since 1970 like every date
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
_ORDER: dict[type[ast.cmpop], Callable[[Numbers, Numbers], Mask]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SHAPES = 'say it like `price < 20 and "Comedy" in categories`'


class BadFilter(ValueError):
    """A filter that cannot be read: what is wrong and where."""


class Filter(NamedTuple):
    """A filter that has been read."""

    text: str
    names: frozenset[str]  # the attributes that it asks for
    timed: bool  # whether its answer changes with the time
    mask: Callable[[Attributes, float], Mask]  # bool[n], n item keys, at a time in seconds


def read(text: str) -> Filter:
    """The filter that `text` says; BadFilter names the place and what would be understood."""
    if len(text) > LONGEST:
        raise BadFilter(f"{len(text)} characters; at most {LONGEST} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise BadFilter(f"not understood{place}; {_SHAPES}") from None
    reader = _Reader(text)
    mask = reader.condition(tree, 0)
    return Filter(text, frozenset(reader.names - {NOW}), NOW in reader.names, mask)


class _Reader:
    """Turns the tree of one filter into functions."""

    def __init__(self, text: str) -> None:
        self.text, self.names = text, set[str]()

    def wrong(self, node: ast.AST, why: str) -> BadFilter:
        return BadFilter(f"`{ast.get_source_segment(self.text.strip(), node) or self.text}`: {why}")

    def name(self, node: ast.Name) -> str:
        self.names.add(node.id)
        return node.id

    def condition(self, node: ast.expr, depth: int) -> Callable[[Attributes, float], Mask]:
        """What gives a mask: and, or, not, a comparison, an attribute that is true."""
        if depth > DEEPEST:
            raise BadFilter(f"more than {DEEPEST} levels deep")
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self.condition(value, depth + 1) for value in values]
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return lambda items, now: join.reduce([part(items, now) for part in parts])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.condition(operand, depth + 1)
                return lambda items, now: ~inner(items, now)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                links = [self.comparison(node, sides[i], op, sides[i + 1]) for i, op in enumerate(ops)]
                if len(links) == 1:
                    return links[0]
                return lambda items, now: np.logical_and.reduce([link(items, now) for link in links])
            case ast.Name(id="now"):
                raise self.wrong(node, "compare it, as in `released <= now`")
            case ast.Name():
                name = self.name(node)
                return lambda items, _: items.number(name) == 1
            case ast.Constant(value=bool() as value):
                return lambda items, _: np.full(items.size, value)
        raise self.wrong(node, f"is no condition; {_SHAPES}")

    def comparison(
        self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr
    ) -> Callable[[Attributes, float], Mask]:
        """One comparison of an attribute with a value, a list of values or another attribute."""
        if isinstance(op, ast.NotIn | ast.NotEq | ast.IsNot):
            positive = {ast.NotIn: ast.In, ast.NotEq: ast.Eq, ast.IsNot: ast.Is}[type(op)]()
            inner = self.comparison(node, left, positive, right)
            return lambda items, now: ~inner(items, now)
        if type(op) in _ORDER:
            compare, a, b = _ORDER[type(op)], self.number(left), self.number(right)
            return lambda items, now: np.broadcast_to(compare(a(items, now), b(items, now)), items.size)  # NaN: false
        if isinstance(op, ast.In) and isinstance(right, ast.Name):  # "Comedy" in categories
            return self.one_of(node, right, [left])
        if isinstance(op, ast.In) and isinstance(right, ast.List | ast.Tuple | ast.Set) and isinstance(left, ast.Name):
            return self.one_of(node, left, right.elts)
        if isinstance(op, ast.Eq | ast.Is):
            if isinstance(left, ast.Name) and isinstance(right, ast.Name):
                a, b = self.number(left), self.number(right)
                return lambda items, now: np.broadcast_to(a(items, now) == b(items, now), items.size)
            for side, other in ((left, right), (right, left)):
                if isinstance(side, ast.Name):
                    return self.one_of(node, side, [other])
        raise self.wrong(node, "compare an attribute with a value; " + _SHAPES)

    def number(self, node: ast.expr) -> Callable[[Attributes, float], Numbers]:
        """What can be ordered: a number, a date as text, `now`, an attribute."""
        match node:
            case ast.Name(id="now"):
                self.names.add(NOW)
                return lambda _, now: np.array(now)  # broadcasts
            case ast.Name():
                name = self.name(node)
                return lambda items, _: items.number(name)
        value = self.value(node)
        if isinstance(value, str):
            found = seconds_of(value)
            if found is None:
                raise self.wrong(node, 'only numbers and dates have an order, as "2024-01-31" or "2024-01-31T12:00"')
            value = found
        if value is None:
            raise self.wrong(node, "nothing is above or below None; ask with `is None`")
        limit = np.array(value)
        return lambda _items, _now: limit

    def one_of(
        self, node: ast.expr, attribute: ast.Name, elements: list[ast.expr]
    ) -> Callable[[Attributes, float], Mask]:
        """Items whose attribute is, or for a list holds, one of the values."""
        if attribute.id == NOW:
            raise self.wrong(node, "`now` is a time: compare it with <, <=, > or >=")
        name, values = self.name(attribute), [self.value(element) for element in elements]

        def mask(items: Attributes, _: float) -> Mask:
            found = np.zeros(items.size, np.bool_)
            for value in values:
                if value is None:
                    found |= ~items.present(name)
                elif isinstance(value, str):
                    items.mark(name, value, found)
                else:
                    found |= items.number(name) == value
            return found

        return mask

    def value(self, node: ast.expr) -> str | float | None:
        """A constant."""
        match node:
            case ast.Constant(value=str() | None as value):
                return value
            case ast.Constant(value=bool() | int() | float() as value):
                return self.finite(node, value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -self.finite(node, value)
        raise self.wrong(node, "a number, a text in quotes, True, False or None is needed here")

    def finite(self, node: ast.expr, value: float) -> float:
        try:
            return float(value)
        except OverflowError:
            raise self.wrong(node, "the number is too large") from None
