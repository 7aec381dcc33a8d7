import numpy as np

from rec_assets.training import keymap
from rec_assets.training.store import SLOTS, EmbeddingStore, Limits


def keys(*values):
    return np.array(values, np.int32)


def test_rows_survive_growth_and_keys_without_a_row_have_none():
    store = EmbeddingStore(4, 0, Limits(5_000))
    store.admit(keys(7, 3, -1, 3))
    before = store.embedding["value"][store.rows(keys(3, 7))].copy()
    store.admit(np.arange(1_000, dtype=np.int32))
    assert store.size == 1_000
    assert (store.embedding["value"][store.rows(keys(3, 7))] == before).all()
    assert store.rows(keys(-1, 5_000)).tolist() == [-1, -1]
    assert sorted(store.rows(np.arange(1_000, dtype=np.int32)).tolist()) == list(range(1_000))
    assert (store.key_of[store.rows(keys(5, 999))] == keys(5, 999)).all()


def test_what_is_scattered_is_gathered_again_with_its_slots():
    store = EmbeddingStore(4, 0, Limits(5_000))
    store.admit(np.arange(10, dtype=np.int32))
    rows = keys(2, 5, 9)
    gathered = store.gather(rows)
    assert gathered["value"].embedding.shape[0] >= 3
    assert not np.asarray(gathered["value"].embedding[3:]).any()
    changed = {slot: each._replace(bias=each.bias + 1 + number) for number, (slot, each) in enumerate(gathered.items())}
    store.scatter(rows, changed)
    for number, slot in enumerate(SLOTS):
        assert (np.asarray(store.gather(rows)[slot].bias)[:3] == np.asarray(gathered[slot].bias)[:3] + 1 + number).all()
    assert not store.bias["first"][[0, 1, 3]].any()


def test_a_new_item_has_the_bias_of_a_rare_one():
    store = EmbeddingStore(4, 0, Limits(5_000))
    store.admit(np.arange(11, dtype=np.int32))
    store.bias["value"][:11] = np.arange(11)
    store.admit(keys(11))
    assert store.bias["value"][11] == 1.0


def test_saved_and_loaded_it_is_the_same():
    store = EmbeddingStore(4, 0, Limits(5_000))
    store.admit(np.arange(5, 200, dtype=np.int32))
    again = EmbeddingStore.from_arrays(store.to_arrays(), 4, 0, Limits(5_000))
    wanted = np.arange(-1, 300, dtype=np.int32)
    assert (again.rows(wanted) == store.rows(wanted)).all()
    more = np.arange(300, dtype=np.int32)
    store.admit(more)
    again.admit(more)
    for name, array in store.to_arrays().items():
        assert (array == again.to_arrays()[name]).all()


def test_a_full_store_gives_up_what_was_unseen_for_longest_with_its_slots():
    store = EmbeddingStore(4, 0, Limits(32))
    store.admit(np.arange(32, dtype=np.int32), 1.0)
    store.bias["first"][:32] = 5.0
    store.choose(store.rows(np.arange(32, dtype=np.int32)))
    store.admit(np.arange(2, 32, dtype=np.int32), 2.0)
    store.admit(keys(100, 101), 3.0)
    assert (store.rows(keys(0, 1)) == -1).all()
    assert (store.rows(np.arange(2, 32, dtype=np.int32)) >= 0).all()
    new = store.rows(keys(100, 101))
    assert (new >= 0).all()
    assert not store.bias["first"][new].any()
    assert not store.chosen[new].any()
    assert store.chosen_total == 30


def test_constantly_new_ids_take_no_more_room():
    store = EmbeddingStore(4, 0, Limits(256))
    sizes = []
    for batch in range(200):
        new = np.arange(batch * 50, batch * 50 + 50, dtype=np.int32)
        store.admit(new, float(batch))
        assert (store.rows(new) >= 0).all()
        assert len(store) <= 256
        sizes.append(tuple(len(x) for x in (store.key_of, store.map.keys, store.embedding["value"], store.counts)))
    assert len(set(sizes[20:])) == 1
    living = store.key_of[: store.size][store.key_of[: store.size] >= 0]
    assert (store.key_of[store.rows(living)] == living).all()


def test_an_id_has_a_row_from_its_nth_event():
    store = EmbeddingStore(4, 0, Limits(5_000, admit_events=3))
    store.admit(keys(1, 2, 2, 3, 3, 3))
    assert (store.rows(keys(1, 2, 3)) >= 0).tolist() == [False, False, True]
    again = EmbeddingStore.from_arrays(store.to_arrays(), 4, 0, Limits(5_000, admit_events=3))
    again.admit(keys(1, 2))
    assert (again.rows(keys(1, 2, 3)) >= 0).tolist() == [False, True, True]


def test_a_row_lives_as_long_as_its_item_is_seen():
    store = EmbeddingStore(4, 0, Limits(5_000, live_seconds=10.0))
    store.admit(keys(1, 2), 0.0)
    store.admit(keys(2), 8.0)
    store.admit(keys(2), 15.0)
    assert (store.rows(keys(1, 2)) >= 0).tolist() == [False, True]
    store.admit(keys(7), 16.0)
    assert store.rows(keys(7)).tolist() == [0]  # the place that was free


def test_the_map_is_a_dict():
    rng, table, wanted = np.random.default_rng(0), keymap.empty(64), {}
    for _ in range(300):
        key = rng.integers(0, 90, 1)
        if len(wanted) < 60 and rng.random() < 0.6:
            wanted[int(key[0])] = len(wanted)
            keymap.insert(table, key, np.array([wanted[int(key[0])]], np.int32))
        else:
            wanted.pop(int(key[0]), None)
            keymap.remove(table, key)
        assert keymap.find(table, np.arange(-1, 90)).tolist() == [wanted.get(key, -1) for key in range(-1, 90)]
