import json
import re
import shutil

import msgspec
import numpy as np
import pytest

from rec_assets.durable import NewerFormat, OlderFormat
from rec_assets.registry import CorruptCheckpoint, NoCheckpoint, NotPromotable, Range, Skipped
from rec_assets.registry import manifest as manifests
from rec_tests.registry.conftest import ARRAYS


def test_what_is_written_is_what_is_loaded(registry, write):
    def fill(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "ids.txt").write_text("x")

    name = write(None, 0, 10, manifest={"metrics": {"hit20": np.float32(0.5)}}, folders={"state": fill})
    checkpoint = registry.load(name)
    assert re.fullmatch(r"000001-[0-9a-f]{8}", name)
    for arrays in (checkpoint.arrays("encoder"), checkpoint.mapped("encoder")):
        assert arrays.keys() == {"item", "scale"}
        for key, array in ARRAYS["encoder"].items():
            np.testing.assert_array_equal(arrays[key], array)
            assert arrays[key].dtype == array.dtype
            assert arrays[key].shape == array.shape
    assert checkpoint.arrays("encoder")["item"].flags.writeable
    assert not checkpoint.mapped("encoder")["item"].flags.writeable
    assert checkpoint.table("items").to_pydict() == {"item_id": ["a", "b"]}
    assert (checkpoint.folder("state") / "deep" / "ids.txt").read_text() == "x"
    manifest = checkpoint.manifest
    assert (manifest.start, manifest.end, manifest.watermark, manifest.log_id) == (0, 10, 10, "log")
    assert manifest.extra == {"metrics": {"hit20": 0.5}}
    assert set(manifest.files) == {"encoder.safetensors", "items.parquet", "state/deep/ids.txt"}


def test_ids_sort_by_time(registry, write):
    names = [write(None, 0, 10) for _ in range(11)]
    assert sorted(names) == names == registry.ids()


def test_numbers_go_on_past_six_digits_and_strangers_are_passed_over(registry, write):
    first = write(None, 0, 10)
    (registry.directory / first).rename(registry.directory / "999999-aaaaaaaa")
    (registry.directory / "notes").mkdir()
    second = write(None, 0, 10)
    assert second.startswith("1000000-")
    assert registry.ids() == ["999999-aaaaaaaa", second]


def test_a_write_that_fails_leaves_nothing(registry, write):
    def fill(folder):
        (folder / "ids").write_bytes(b"half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write(None, 0, 10, folders={"state": fill})
    assert registry.ids() == []
    assert list(registry.directory.glob(".draft*")) == []


def test_what_is_not_there_is_named(registry, write):
    name = write(None, 0, 10)
    with pytest.raises(KeyError, match="ranker"):
        registry.load(name).arrays("ranker")
    with pytest.raises(KeyError, match="state"):
        registry.load(name).folder("state")
    for unknown in ("000009-00000000", "../secrets", ""):
        with pytest.raises(NoCheckpoint):
            registry.load(unknown)
    with pytest.raises(NoCheckpoint):
        write("000009-00000000", 0, 10)


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
@pytest.mark.parametrize("file", ["encoder.safetensors", "items.parquet", "manifest.json", "state/ids"])
def test_a_harmed_file_is_never_loaded(registry, write, file, harm):
    name = write(None, 0, 10, folders={"state": lambda folder: (folder / "ids").write_bytes(b"0123456789")})
    path = registry.directory / name / file
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "cut":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    with pytest.raises(CorruptCheckpoint, match=path.name):
        registry.load(name)
    with pytest.raises(CorruptCheckpoint):
        registry.promote(name)
    assert registry.promoted() is None
    assert len(registry.list()) == 1


def test_a_directory_under_another_name_is_refused(registry, write):
    name = write(None, 0, 10)
    shutil.copytree(registry.directory / name, registry.directory / "000002-00000000")
    with pytest.raises(CorruptCheckpoint):
        registry.load("000002-00000000")
    assert [row.state for row in registry.list()] == ["candidate", "unreadable"]


@pytest.mark.parametrize(
    ("version", "error", "said"), [(99, NewerFormat, "format 99"), (1, OlderFormat, "format 1.*learnt again")]
)
def test_another_format_is_refused_before_anything_else_is_read(registry, write, version, error, said):
    name = write(None, 0, 10)
    other = msgspec.to_builtins(registry.manifest(name)) | {"format_version": version}
    other.pop("kind")  # nor is what it says expected to be as today
    (registry.directory / name / manifests.NAME).write_bytes(msgspec.json.encode(other))
    with pytest.raises(error, match=said):
        registry.load(name)
    assert [row.state for row in registry.list()] == ["unreadable"]


def test_only_a_child_of_the_promoted_is_promoted(registry, write):
    first, rival = write(None, 0, 10), write(None, 0, 10)
    registry.promote(first)
    second, fork = write(first, 10, 20), write(first, 10, 20)
    with pytest.raises(NotPromotable):
        registry.promote(rival)
    registry.promote(second)
    with pytest.raises(NotPromotable, match=first):
        registry.promote(fork)
    assert registry.promoted() == second
    pointer = json.loads((registry.directory / "promoted.json").read_bytes())
    assert (pointer["id"], pointer["watermark"], pointer["log_id"], pointer["previous"]) == (second, 20, "log", first)


def test_promoting_again_changes_nothing(registry, write):
    first = write(None, 0, 10)
    assert registry.promote(first) == registry.promote(first)
    assert [line.action for line in registry.history()] == ["promoted"]


def test_a_refused_one_is_never_promoted_and_never_a_parent(registry, write):
    first = write(None, 0, 10)
    registry.refuse(first, "loss rose")
    registry.refuse(first, "again")
    with pytest.raises(NotPromotable, match="loss rose"):
        registry.promote(first)
    with pytest.raises(NotPromotable, match="parent"):
        write(first, 10, 20)
    second = write(None, 0, 10)
    registry.promote(second)
    with pytest.raises(NotPromotable, match="roll back"):
        registry.refuse(second, "no")
    assert [(row.state, row.reason) for row in registry.list()] == [("refused", "loss rose"), ("promoted", "")]


def test_rollback_goes_to_an_ancestor_and_skips_what_it_gave_up(registry, write):
    first = write(None, 0, 10)
    registry.promote(first)
    second = write(first, 10, 20)
    registry.promote(second)
    third = write(second, 20, 30)
    registry.promote(third)
    with pytest.raises(NotPromotable, match="no kept ancestor"):
        registry.rollback(third)
    assert registry.rollback().id == second
    assert registry.rollback(first).id == first
    with pytest.raises(NotPromotable):
        registry.rollback()
    with pytest.raises(NotPromotable):
        registry.promote(third)
    fourth = write(first, 30, 40, skipped=[Skipped(10, 20, "rolled back")])
    registry.promote(fourth)
    assert registry.manifest(fourth).learnt == [Range(0, 10), Range(30, 40)]
    assert registry.manifest(fourth).skipped == [Skipped(10, 20, "rolled back"), Skipped(20, 30, "not learnt")]
    assert [row.state for row in registry.list()] == ["was promoted", "rolled back", "rolled back", "promoted"]
    assert [each.id for each in registry.chain(fourth)] == [fourth, first]


def test_no_offset_is_learnt_twice_along_a_chain(registry, write):
    first = write(None, 0, 10)
    with pytest.raises(ValueError, match="already learnt"):
        write(first, 9, 20)
    later = write(first, 20, 30)
    filled = write(later, 10, 20)
    assert registry.manifest(filled).learnt == [Range(0, 30)]
    assert registry.manifest(filled).watermark == 30


def test_another_log_starts_its_own_count(registry, write):
    first = write(None, 0, 10)
    name = registry.write(first, 0, 5, ARRAYS, log_id="another")
    manifest = registry.manifest(name)
    assert (manifest.watermark, manifest.learnt) == (5, [Range(0, 5)])


def test_a_move_that_a_kill_kept_from_the_history_is_noted_by_the_next(registry, write):
    first = write(None, 0, 10)
    registry.promote(first)
    (registry.directory / "history.jsonl").write_bytes(b'{"at": 1, "act')
    second = write(first, 10, 20)
    registry.promote(second)
    assert [(line.action, line.id) for line in registry.history()] == [("promoted", first), ("promoted", second)]
