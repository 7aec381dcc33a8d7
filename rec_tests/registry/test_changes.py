"""A chain of a base and deltas gives, at each link, what was saved there."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from rec_assets.registry import Changes, CorruptCheckpoint, NotPromotable, Registry
from rec_assets.registry.compaction import write_whole
from rec_assets.registry.replacement import replace

FIRST = {"value": np.arange(480, dtype=np.float32).reshape(60, 8), "free": np.empty(0, np.int32)}


def promoted_chain(registry, length, whole=()):
    """Ids and what the group "items" was at each: a base, then deltas; those numbered in `whole` hold all rows too."""
    rng, now = np.random.default_rng(0), dict(FIRST)
    names, saved = [registry.write(None, 0, 10, {"items": now}, log_id="log")], [now]
    registry.promote(names[0])
    for step in range(1, length):
        rows = np.unique(rng.integers(0, len(now["value"]) + 2, 3)).astype(np.int32)
        size = max(len(now["value"]), int(rows[-1]) + 1)
        value = np.zeros((size, 8), np.float32)
        value[: len(now["value"])] = now["value"]
        value[rows] = rng.normal(size=(len(rows), 8))
        now = {"value": value, "free": np.arange(step, dtype=np.int32)}
        changes = Changes(rows, size, {"value": value[rows]}, {"free": now["free"]})
        arrays = {"items": now} if step in whole else {}
        start = step * 10
        names.append(registry.write(names[-1], start, start + 10, arrays, log_id="log", changes={"items": changes}))
        registry.promote(names[-1])
        saved.append(now)
    return names, saved


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_each_link_is_what_was_saved(registry):
    names, saved = promoted_chain(registry, 8, whole=(4,))
    for name, wanted in zip(names, saved, strict=True):
        same(registry.load(name).arrays("items"), wanted)
    assert [registry.manifest(name).kind for name in names] == ["base", *["delta"] * 3, "base", *["delta"] * 3]
    only = registry.load(names[-1]).arrays("items", lambda name: name == "value")
    assert list(only) == ["value"]
    assert only["value"].flags.writeable


def test_the_way_from_what_is_held(registry):
    names, _ = promoted_chain(registry, 12, whole=(3,))
    steps = registry.since(names[2], names[4], "items")
    assert [step.id for step in steps] == names[3:5]
    assert registry.since(names[4], names[2], "items") == []  # back
    assert registry.since("000009-00000000", names[4], "items") == []
    assert registry.since(names[0], names[11], "items") == []  # a large part of a small whole


def test_a_whole_copy_needs_no_other(registry, tmp_path):
    names, saved = promoted_chain(registry, 5)
    write_whole(registry, names[3], tmp_path / "packed")
    alone = Registry(tmp_path / "packed")
    assert alone.ids() == [names[3]]
    assert alone.manifest(names[3]).kind == "base"
    same(alone.load(names[3]).arrays("items"), saved[3])


@pytest.mark.parametrize("harm", ["flip", "remove"])
def test_what_builds_on_a_harmed_link_is_never_loaded(registry, harm):
    names, saved = promoted_chain(registry, 5)
    path = registry.directory / names[2] / "items.rows.safetensors"
    if harm == "flip":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    for name in names[2:]:
        with pytest.raises(CorruptCheckpoint, match=names[2]):
            registry.load(name)
    with pytest.raises(CorruptCheckpoint):
        registry.rollback(names[3])
    assert registry.promoted() == names[4]
    assert registry.rollback(names[1]).id == names[1]
    same(registry.load(names[1]).arrays("items"), saved[1])


def test_a_lost_base_is_named(registry):
    names, _ = promoted_chain(registry, 3)
    (registry.directory / names[0]).rename(registry.directory / "lost")
    with pytest.raises(CorruptCheckpoint, match=names[0]):
        registry.load(names[2])
    with pytest.raises(CorruptCheckpoint, match=names[0]):
        registry.verify(names[2])


def test_a_base_stays_as_long_as_a_kept_delta_needs_it(registry):
    names, saved = promoted_chain(registry, 7, whole=(4,))
    assert registry.retain(3) == names[:4]
    assert registry.ids() == names[4:]
    for name, wanted in zip(names[4:], saved[4:], strict=True):
        same(registry.load(name).arrays("items"), wanted)


def test_removing_that_stops_half_way_leaves_no_delta_without_its_base(registry):
    names, _ = promoted_chain(registry, 7, whole=(4,))
    in_the_way = registry.directory / f".removed-{names[1]}" / "file"
    in_the_way.mkdir(parents=True)
    with pytest.raises(OSError, match=names[1]):
        registry.retain(3)
    assert registry.ids() == [*names[:2], *names[4:]]
    for name in registry.ids():
        registry.load(name)
    in_the_way.rmdir()
    assert registry.retain(3) == names[:2]


def test_a_replaced_chain_gives_what_it_gave(registry):
    names, saved = promoted_chain(registry, 6, whole=(3,))

    def without_free(checkpoint, draft):
        if checkpoint.id != names[1]:
            return {}
        (draft / "note").write_text("changed")
        return {"notes": 1}

    done = replace(registry, without_free)
    assert list(done.ids) == names[1:]
    again = Registry(registry.directory)
    assert again.ids() == [names[0], *done.ids.values()]
    for name, wanted in zip(again.ids(), saved, strict=True):
        same(again.load(name).arrays("items"), wanted)
    assert len(load_file(again.directory / again.ids()[2] / "items.rows.safetensors")) > 0


def test_what_was_served_at_a_time(registry):
    names, _ = promoted_chain(registry, 4)
    times = [line.at for line in registry.history()]
    assert registry.served_at(times[0] - 1) is None
    assert [registry.served_at(at + 1) for at in times] == names
    registry.rollback(registry.served_at(times[1]))
    assert registry.promoted() == names[1]
    assert registry.served_at(registry.history()[-1].at) == names[1]


def test_changes_need_a_parent(registry):
    with pytest.raises(ValueError, match="without a parent"):
        registry.write(None, 0, 10, {}, log_id="log", changes={"items": Changes(np.empty(0, np.int32), 0, {}, {})})
    assert registry.promoted() is None
    with pytest.raises(NotPromotable):
        registry.rollback()
