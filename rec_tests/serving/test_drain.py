"""The computing thread's queue: what waits is answered together, in order, and only so much may wait."""

import asyncio
import threading

import pytest

from rec_assets.serving.bodies import Refused
from rec_assets.serving.drain import Drain


class Lists:
    """Answers wishes by name; the first group waits until it is let go."""

    def __init__(self, limit=100, together=4):
        self.groups, self.begun, self.go = [], threading.Event(), threading.Event()
        self.drain = Drain(lambda: None, limit, self.answer, together, 0.01)
        self.drain.start()

    def answer(self, wishes):
        self.groups.append(list(wishes))
        self.begun.set()
        self.go.wait(10)
        if "fail" in wishes:
            raise OSError("all of them")
        return [Refused(422, wish) if wish.startswith("bad") else wish.upper() for wish in wishes]


@pytest.fixture
def lists():
    made = Lists()
    yield made
    made.go.set()
    made.drain.stop()


def together(lists, names, calls=()):
    """Ask for the first name, and once it is being made for all others and the calls; what each got."""

    async def run():
        first = asyncio.ensure_future(lists.drain.ask(names[0]))
        await asyncio.to_thread(lists.begun.wait)
        rest = [asyncio.ensure_future(lists.drain.ask(name)) for name in names[1:]]
        rest += [asyncio.ensure_future(lists.drain.run(call)) for call in calls]
        await asyncio.sleep(0)
        lists.go.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    return asyncio.run(run())


def test_what_waits_is_answered_together_up_to_a_limit(lists):
    assert together(lists, ["a", "b", "c", "d", "e", "f"]) == ["A", "B", "C", "D", "E", "F"]
    assert lists.groups == [["a"], ["b", "c", "d", "e"], ["f"]]


def test_a_wish_that_is_refused_leaves_the_others_theirs(lists):
    first, bad, last = together(lists, ["a", "bad", "c"])
    assert (first, last) == ("A", "C")
    assert isinstance(bad, Refused)


def test_an_error_reaches_all_of_its_group_and_the_thread_goes_on(lists):
    first, failed, other = together(lists, ["a", "fail", "b"])
    assert first == "A"
    assert isinstance(failed, OSError)
    assert isinstance(other, OSError)
    assert asyncio.run(lists.drain.ask("again")) == "AGAIN"


def test_calls_between_wishes_keep_their_turn(lists):
    seen = []

    async def run():
        first = asyncio.ensure_future(lists.drain.ask("a"))
        await asyncio.to_thread(lists.begun.wait)
        waiting = [
            asyncio.ensure_future(one)
            for one in (
                lists.drain.ask("b"),
                lists.drain.run(lambda: seen.append([*lists.groups])),
                lists.drain.ask("c"),
            )
        ]
        await asyncio.sleep(0)
        lists.go.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(run())
    assert seen == [[["a"], ["b"]]]
    assert lists.groups == [["a"], ["b"], ["c"]]


def test_beyond_the_limit_nobody_waits():
    lists = Lists(limit=2)
    first, *others = together(lists, ["a", "b", "c", "d"])
    lists.drain.stop()
    assert [first, *others[:2]] == ["A", "B", "C"]
    assert isinstance(others[2], Refused)
    assert others[2].status == 429
    assert others[2].answer().headers["Retry-After"] == "1"


def test_who_has_gone_is_not_computed_for(lists):
    async def run():
        first = asyncio.ensure_future(lists.drain.ask("a"))
        await asyncio.to_thread(lists.begun.wait)
        gone, stays = (asyncio.ensure_future(lists.drain.ask(name)) for name in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        lists.go.set()
        return await first, await stays

    assert asyncio.run(run()) == ("A", "STAYS")
    assert lists.groups == [["a"], ["stays"]]
