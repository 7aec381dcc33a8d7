import numpy as np

from rec_assets.training.store import SLOTS, EmbeddingStore


def keys(*values):
    return np.array(values, np.int32)


def test_rows_survive_growth_and_keys_without_a_row_have_none():
    store = EmbeddingStore(dim=4, seed=0)
    store.admit(keys(7, 3, -1, 3))
    before = store.embedding["value"][store.rows(keys(3, 7))].copy()
    store.admit(np.arange(1_000, dtype=np.int32))
    assert store.size == 1_000
    assert (store.embedding["value"][store.rows(keys(3, 7))] == before).all()
    assert store.rows(keys(-1, 5_000)).tolist() == [-1, -1]
    assert sorted(store.rows(np.arange(1_000, dtype=np.int32)).tolist()) == list(range(1_000))
    assert (store.key_of[store.rows(keys(5, 999))] == keys(5, 999)).all()


def test_what_is_scattered_is_gathered_again_with_its_slots():
    store = EmbeddingStore(dim=4, seed=0)
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
    store = EmbeddingStore(dim=4, seed=0)
    store.admit(np.arange(11, dtype=np.int32))
    store.bias["value"][:11] = np.arange(11)
    store.admit(keys(11))
    assert store.bias["value"][11] == 1.0


def test_saved_and_loaded_it_is_the_same():
    store = EmbeddingStore(dim=4, seed=0)
    store.admit(np.arange(5, 200, dtype=np.int32))
    again = EmbeddingStore.from_arrays(store.to_arrays(), dim=4, seed=0)
    wanted = np.arange(-1, 300, dtype=np.int32)
    assert (again.rows(wanted) == store.rows(wanted)).all()
    more = np.arange(300, dtype=np.int32)
    store.admit(more)
    again.admit(more)
    for name, array in store.to_arrays().items():
        assert (array == again.to_arrays()[name]).all()
