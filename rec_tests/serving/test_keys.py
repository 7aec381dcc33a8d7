import os
import stat

import pytest

from rec_assets.serving import keys
from rec_assets.serving.bodies import Refused
from rec_assets.serving.keys import Guard


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def refusal(guard, *asked):
    with pytest.raises(Refused) as raised:
        guard.admit(*asked)
    return raised.value.status, raised.value.message


def fresh(path, anyone=False, workers=1):
    return Guard(path, workers, anyone)


def test_without_keys_this_machine_alone_is_answered_and_nobody_is_admin(path):
    guard = fresh(path)
    guard.admit("read", None, "127.0.0.1")
    guard.admit("feedback", None, "::1")
    assert refusal(guard, "read", None, "192.0.2.7")[0] == 403
    assert refusal(guard, "admin", None, "127.0.0.1")[0] == 403
    fresh(path, anyone=True).admit("read", None, "192.0.2.7")


def test_a_key_opens_its_scopes(path):
    secret = keys.add(path, "shop", ["read", "feedback"], None)
    guard = fresh(path)
    guard.admit("read", secret, "192.0.2.7")
    status, message = refusal(guard, "admin", secret, "127.0.0.1")
    assert (status, "'shop'" in message, secret in message) == (403, True, False)
    assert refusal(guard, "read", None, "127.0.0.1")[0] == 401
    assert refusal(guard, "read", secret[:-1], "127.0.0.1")[0] == 401


def test_a_key_is_stored_as_a_hash_that_others_cannot_read(path):
    secret = keys.add(path, "shop", ["read"], None)
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_rotated_key_counts_for_its_overlap(path):
    old = keys.add(path, "shop", ["read"], None)
    new = keys.rotate(path, "shop", overlap_seconds=60)
    guard = fresh(path)
    guard.admit("read", old, None)
    guard.admit("read", new, None)
    newest = keys.rotate(path, "shop", overlap_seconds=0)
    guard = fresh(path)
    assert refusal(guard, "read", new, None)[0] == 401
    guard.admit("read", old, None)  # its minute is not over
    guard.admit("read", newest, None)


def test_keys_change_while_the_service_runs(path, monkeypatch):
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)
    guard = fresh(path)
    guard.admit("read", None, "127.0.0.1")
    secret = keys.add(path, "shop", ["read"], None)
    assert refusal(guard, "read", None, "127.0.0.1")[0] == 401
    guard.admit("read", secret, None)
    other = keys.add(path, "app", ["read"], None)
    keys.revoke(path, "shop")
    os.utime(path)
    assert refusal(guard, "read", secret, None)[0] == 401
    guard.admit("read", other, None)
    path.write_text("{")
    guard.admit("read", other, None)  # what cannot be read changes nothing


def test_a_key_has_its_requests_a_second(path):
    secret = keys.add(path, "shop", ["read"], 3)
    guard = fresh(path)
    for _ in range(3):
        guard.admit("read", secret, None)
    assert refusal(guard, "read", secret, None)[0] == 429


def test_a_name_is_taken_once(path):
    keys.add(path, "shop", ["read"], None)
    with pytest.raises(ValueError, match="there is a key called 'shop'"):
        keys.add(path, "shop", ["admin"], None)
    with pytest.raises(ValueError, match="there are: shop"):
        keys.revoke(path, "ship")
