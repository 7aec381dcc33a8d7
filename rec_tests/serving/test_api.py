"""What a request can ask of the lists, on the routes themselves over a real worker, without a process of its own."""

import json
import re
import time

import numpy as np
import pytest
from live_service import fill, settings_in
from starlette.testclient import TestClient

from rec_assets.log import Draft, Log, forget_jobs
from rec_assets.serving import keys, openapi, routes
from rec_assets.serving.spool import Spool
from rec_assets.serving.worker import Worker

PRICES = {f"i{i}": i for i in range(60)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = settings_in(tmp_path_factory.mktemp("api"))
    with fill(settings) as log:
        rows = [
            {
                "item_id": item_id,
                "title": f"Film {price}",
                "categories": [("Drama", "Comedy", "War")[price % 3]],
                "price": price,
                "seller": f"s{price % 4}",
            }
            for item_id, price in PRICES.items()
        ]
        rows.append({"item_id": "unseen", "title": "Nobody saw it", "price": 1_000, "seller": "s9"})
        log.append([Draft("item", json.dumps(row).encode()) for row in rows], "test")
    return settings.model_copy(update={"rules": settings.data / "rules.toml"})


@pytest.fixture(scope="module")
def app(settings):
    app = routes.app([])
    app.state.worker = worker = Worker(settings)
    worker.start()
    deadline = time.monotonic() + 200
    while not worker.ready:
        assert not worker.failed
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield app
    worker.stop()


@pytest.fixture(scope="module")
def api(app):
    with TestClient(app, client=("127.0.0.1", 5)) as client:
        yield client


@pytest.fixture
def admin(app, api, settings):
    """A client with a key of all scopes; when the test is over there are no keys again."""
    secret = keys.add(settings.keys_path, "all", ["read", "feedback", "admin"], None)
    app.state.worker.guard._looked_at = 0.0
    with TestClient(app, client=("192.0.2.9", 5), headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client
    settings.keys_path.unlink()
    app.state.worker.guard._looked_at = 0.0


def lists(api, path="/recommend", **wish):
    answer = api.post(path, json=wish)
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def test_a_filter_leaves_only_what_matches_and_the_list_is_full(api):
    found = lists(api, user_id="u1", k=20, filter='price >= 30 and "War" not in categories', seen="allowed")
    assert len(found) == 20 == len(set(found))
    assert all(item == "unseen" or (PRICES[item] >= 30 and PRICES[item] % 3 != 2) for item in found)
    assert lists(api, user_id="u1", k=20, filter="price > 999") == ["unseen"]
    assert lists(api, user_id="u1", filter="price > 5000") == []


@pytest.mark.parametrize(
    ("wish", "field", "told"),
    [
        ({"filter": "price <"}, "filter", "not understood"),
        ({"filter": "prize < 3"}, "filter", "no item has an attribute 'prize'; there are: .*price"),
        ({"boosts": [{"filter": "x(", "factor": 2}]}, "boosts", "not understood"),
        ({"boosts": [{"filter": "price > 1", "factor": 0}]}, "boosts", ">= "),
        ({"caps": {"seller": 0}}, "caps", ">= 1"),
        ({"diversity": 1.5}, "diversity", "<= 1"),
        ({"seen": "sometimes"}, "seen", "sometimes"),
        ({"pins": [{"item_id": "i1"}]}, "place", "place"),
    ],
)
def test_a_wrong_wish_is_told_what_is_wrong(api, wish, field, told):
    answer = api.post("/recommend", json={"user_id": "u1", **wish})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["field"] == field
    assert re.search(told, error["message"])


def test_caps_pins_boosts_and_excludes(api):
    plain = lists(api, user_id="u2", k=12)
    found = api.post("/recommend", json={"user_id": "u2", "k": 8, "caps": {"seller": 2}}).json()["items"]
    sellers = [item["attributes"]["seller"] for item in found]
    assert len(found) == 8 and max(sellers.count(seller) for seller in sellers) == 2
    assert lists(api, user_id="u2", k=5, pins=[{"item_id": plain[10], "place": 2}])[1] == plain[10]
    assert lists(api, user_id="u2", k=5, exclude_item_ids=plain[:3])[:2] == plain[3:5]
    last = plain[-1]
    assert lists(api, user_id="u2", k=1, boosts=[{"filter": f"price == {PRICES[last]}", "factor": 1e6}]) == [last]
    first = plain[0]
    buried = lists(api, user_id="u2", k=5, boosts=[{"filter": f"price == {PRICES[first]}", "factor": 1e-6}])
    assert first not in buried


def test_what_was_had_comes_back_where_it_may(api):
    had = {item["item_id"] for item in api.get("/users/u3", params={"k": 100}).json()["history"]}
    assert had
    assert not had & set(lists(api, user_id="u3", k=100))
    assert not had & set(lists(api, user_id="u3", k=100, seen="never"))
    assert had <= set(lists(api, user_id="u3", k=100, seen="allowed"))
    assert had <= set(lists(api, user_id="u3", k=100, seen=1e-9))
    assert not had & set(lists(api, user_id="u3", k=100, seen=36_500))


def test_a_list_is_only_shorter_than_k_when_the_catalogue_is(api):
    assert len(lists(api, user_id="nobody ever heard of", k=100)) == 61
    assert "unseen" in lists(api, user_id="nobody ever heard of", k=100)


def test_rank_orders_what_it_is_given(api):
    best = lists(api, user_id="u4", k=10)
    ranked = lists(api, "/rank", user_id="u4", item_ids=[*reversed(best), "no such item"])
    assert set(ranked) == set(best)
    assert lists(api, "/rank", user_id="u4", item_ids=["i1"], seen="allowed") == ["i1"]


def test_similar_names_others(api):
    found = lists(api, "/similar", item_id="i5", k=6)
    assert len(found) == 6 and "i5" not in found
    assert "i6" in found  # what tends to follow
    assert api.post("/similar", json={"item_id": "no such item"}).status_code == 404


def test_popular_new_and_trending(api):
    popular = [item["item_id"] for item in api.get("/popular", params={"k": 5}).json()["items"]]
    assert len(popular) == 5
    cheap = api.get("/popular", params={"k": 5, "filter": "price < 3"}).json()["items"]
    assert {item["item_id"] for item in cheap} == {"i0", "i1", "i2"}
    assert api.get("/new", params={"k": 1}).json()["items"][0]["item_id"] == "unseen"
    assert len(api.get("/trending").json()["items"]) == 10
    assert api.get("/popular", params={"filter": "price <"}).json()["error"]["field"] == "filter"


def test_why_an_item_is_recommended(api):
    [first] = lists(api, user_id="u5", k=1)
    why = api.post("/explain", json={"user_id": "u5", "item_id": first}).json()
    assert why["place"] is not None and why["source"]
    effects = [abs(feature["effect"]) for feature in why["features"]]
    assert effects and effects == sorted(effects, reverse=True)
    assert (why["kinds"], why["rating"]) == ({}, None)  # nothing is learnt yet
    absent = api.post("/explain", json={"user_id": "u5", "item_id": "no such item"}).json()
    assert (absent["place"], absent["features"]) == (None, [])


def test_exploration_tells_its_propensities(api, settings):
    answer = api.post("/recommend", json={"user_id": "u6", "k": 5, "exploration": 0.5}).json()
    shares = [item.get("propensity", 1.0) for item in answer["items"]]
    assert all(0 < share < 1 for share in shares)


def test_the_catalogue_changes_at_once(admin):
    assert admin.post("/items", json={"item_id": "new/one", "title": "Fresh", "price": 7.5}).json()["accepted"] == 1
    assert lists(admin, user_id="u1", k=5, filter="price == 7.5") == ["new/one"]
    assert admin.post("/items", json={"item_id": "new/one", "price": 8.5, "hidden": True}).status_code == 200
    shown = admin.get("/items/new%2Fone").json()
    assert (shown["title"], shown["attributes"]["price"]) == ("Fresh", 8.5)
    assert lists(admin, user_id="u1", filter="price == 8.5") == []
    admin.post("/items", json={"item_id": "new/one", "hidden": False})
    assert lists(admin, user_id="u1", filter="price == 8.5") == ["new/one"]
    assert admin.delete("/items/new%2Fone").status_code == 200
    assert lists(admin, user_id="u1", filter="price == 8.5") == []
    assert admin.delete("/items/never%20was").status_code == 404
    wrong = admin.post("/items", json=[{"item_id": "a"}, {"item_id": "b", "categories": "Drama"}])
    assert (wrong.status_code, wrong.json()["error"]["index"]) == (422, 1)
    assert admin.get("/items/a").status_code == 404


def test_what_is_said_of_users_is_a_record_of_the_log(admin, settings):
    stored = admin.post("/users", json=[{"user_id": "u1", "country": "NL"}, {"user_id": "later"}]).json()
    assert stored["accepted"] == 2
    with Log.open(settings.log_dir) as log:
        [record, _] = log.read(stored["offsets"][0], stored["offsets"][0] + 2)
    assert (record.kind, json.loads(record.payload)) == ("user", {"user_id": "u1", "country": "NL"})
    wrong = admin.post("/users", json=[{"user_id": "a"}, {"country": "NL"}])
    assert (wrong.status_code, wrong.json()["error"]["index"]) == (422, 1)
    assert wrong.json()["error"]["field"] == "user_id"


def test_a_user_is_forgotten_at_once_and_the_job_waits_for_the_pipeline(admin, settings):
    assert admin.get("/users/u39").json()["events"] > 0
    told = admin.delete("/users/u39").json()
    assert "forget_users" in told["files"] and told["lists"] == "forgotten"
    nothing = {"user_id": "u39", "events": 0, "first_at": None, "last_at": None, "history": [], "forgetting": True}
    assert admin.get("/users/u39").json() == nothing
    assert admin.delete("/users/u39").json() == told
    with Log.open(settings.log_dir) as log:
        assert forget_jobs.waiting(log) == ["u39"]
        assert log.head() == told["offset"] + 1
    # Whoever comes back is new, and can go again before the first job is done.
    admin.post("/feedback", json={"user_id": "u39", "item_id": "i1", "event": "click"})
    assert admin.get("/users/u39").json()["events"] == 1
    assert admin.delete("/users/u39").json()["offset"] == told["offset"] + 2
    assert admin.get("/users/u39").json() == nothing
    assert admin.delete(f"/users/{'x' * 257}").status_code == 422


def test_business_rules_hold_as_soon_as_they_are_written(app, api, settings):
    settings.rules.write_text('[[rule]]\nname = "cheap"\nplacements = ["home"]\nonly = "price < 10"\n')
    wait_for(lambda: lists(api, user_id="new", k=100, placement="home"), lambda found: len(found) == 10)
    assert len(lists(api, user_id="new", k=100)) == 61
    version = api.post("/recommend", json={"user_id": "new"}).json()["rules"]
    settings.rules.write_text("[[rule")
    wait_for(lambda: api.get("/status").json()["rules_error"], lambda error: error is not None)
    assert api.post("/recommend", json={"user_id": "new"}).json()["rules"] == version
    settings.rules.unlink()
    wait_for(lambda: lists(api, user_id="new", k=100, placement="home"), lambda found: len(found) == 61)


def wait_for(ask, found):
    deadline = time.monotonic() + 20
    while not found(value := ask()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)


def test_scopes_are_kept_apart(app, api, settings, admin):
    reader = keys.add(settings.keys_path, "reader", ["read"], None)
    app.state.worker.guard._looked_at = 0.0
    bearer = {"Authorization": f"Bearer {reader}"}
    assert api.post("/recommend", json={"user_id": "u1"}).status_code == 401
    assert api.post("/recommend", json={"user_id": "u1"}, headers=bearer).status_code == 200
    assert api.post("/feedback", json={"user_id": "u1", "event": "click"}, headers=bearer).status_code == 403
    assert api.post("/items", json={"item_id": "x"}, headers=bearer).status_code == 403
    assert api.delete("/users/u1", headers=bearer).status_code == 403
    assert api.get("/hello").status_code == 200


def test_without_keys_nobody_changes_the_catalogue(app, api):
    assert api.post("/items", json={"item_id": "x"}).status_code == 403
    with TestClient(app, client=("192.0.2.7", 5)) as stranger:
        assert stranger.post("/recommend", json={"user_id": "u1"}).status_code == 403


def test_answers_carry_version_and_security_headers(api):
    answer = api.post("/recommend", json={"user_id": "u1"})
    assert answer.headers["API-Version"] == "1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert api.post("/recommend", json={"user_id": "u1"}, headers={"API-Version": "2"}).status_code == 400


def test_the_document_is_served_and_names_every_route(api):
    document = api.get("/openapi.json").json()
    assert document == json.loads(openapi.document())
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            if "requestBody" in described:
                example = described["requestBody"]["content"]["application/json"]["example"]
                answer = api.request(method, path, json=example)
                assert answer.status_code in (200, 403, 404), (path, answer.text)


def test_a_list_is_kept_with_all_that_made_it(app, api, settings):
    answer = api.post("/recommend", json={"user_id": "u7", "k": 3, "placement": "home"}).json()
    app.state.worker.lists.stop()
    spool = Spool(settings.spool_path)
    kept = [json.loads(row.payload) for row in spool.lists(0, 10_000)]
    spool.close()
    [found] = [list_ for list_ in kept if list_["request_id"] == answer["request_id"]]
    assert found["item_ids"] == [item["item_id"] for item in answer["items"]]
    assert found["placement"] == "home" and found["rules"] == "none"
    assert np.allclose(found["propensities"], 1.0)
