import os
import shutil

import pytest

from rec_assets.registry import NotPromotable


def _promoted_chain(registry, write, length):
    names = [write(None, 0, 10)]
    registry.promote(names[0])
    for step in range(1, length):
        names.append(write(names[-1], step * 10, step * 10 + 10))
        registry.promote(names[-1])
    return names


def test_the_newest_stay(registry, write):
    names = _promoted_chain(registry, write, 6)
    assert registry.retain(3) == names[:3]
    assert registry.ids() == names[3:]
    assert registry.retain(3) == []
    assert [each.id for each in registry.chain(names[-1])] == names[:2:-1]


def test_the_promoted_and_its_parent_stay_whatever_is_newer(registry, write):
    names = _promoted_chain(registry, write, 3)
    refused = [write(names[-1], 30, 40) for _ in range(4)]
    assert registry.retain(1) == [names[0], *refused[:-1]]
    assert registry.rollback().id == names[1]


def test_the_carrier_of_live_state_and_what_is_pinned_stay(registry, write):
    names = _promoted_chain(registry, write, 3)
    later = write(names[-1], 30, 40, state=names[0])
    registry.promote(later)
    last = write(later, 40, 50, state=names[0])
    registry.promote(last)
    registry.pin("frozen", names[1])
    assert registry.pinned("frozen") == names[1]
    assert registry.pinned("other") is None
    assert registry.retain(1) == [names[2]]
    assert registry.list()[1].pinned == ["frozen"]


def test_leftovers_of_kills_go_when_they_are_old(registry, write):
    write(None, 0, 10)
    for name in (".draft-1-1", ".draft-2-2"):
        (registry.directory / name).mkdir()
        (registry.directory / name / "encoder.safetensors").write_bytes(b"half")
    os.utime(registry.directory / ".draft-1-1", (1, 1))
    fresh = registry.directory / ".draft-2-2"
    os.utime(fresh, (registry.clock() / 1e6 - 10,) * 2)
    registry.retain(5)
    assert sorted(path.name for path in registry.directory.glob(".draft*")) == [".draft-2-2"]
    assert len(registry.ids()) == 1


def test_an_unreadable_one_is_left_for_a_person_to_look_at(registry, write):
    names = _promoted_chain(registry, write, 4)
    (registry.directory / names[0] / "manifest.json").unlink()
    assert registry.retain(1) == [names[1]]
    assert names[0] in registry.ids()


def test_numbers_are_not_used_again(registry, write):
    names = _promoted_chain(registry, write, 2)
    shutil.rmtree(registry.directory / names[1])
    assert write(None, 0, 10).startswith("000003-")


def test_nothing_is_rolled_back_to_what_is_gone(registry, write):
    names = _promoted_chain(registry, write, 4)
    registry.retain(1)
    with pytest.raises(NotPromotable):
        registry.rollback(names[0])
