import json
import threading
import time
import uuid

import httpx
import pytest
from live_service import fill

from rec_assets.client import Recommender, ServiceError
from rec_assets.log import Log


def click(user, item, **more):
    return {"event_id": uuid.uuid4().hex, "user_id": user, "item_id": item, "event": "click", **more}


def ids(answer):
    return [item["item_id"] for item in answer["items"]]


def test_a_list_says_what_it_was_made_from(served):
    answer = served.recommend(user_id="u3", k=7)
    assert len(answer["items"]) == len(set(ids(answer))) == 7
    assert answer["checkpoint"] is None
    assert answer["offset"] >= 660
    assert len(answer["request_id"]) == 32
    assert answer["now"].startswith("1997-")  # the log's own time
    assert answer["items"][0]["title"].startswith("Film ")
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_own_click_is_in_the_very_next_list(served):
    user = f"new-{uuid.uuid4().hex[:6]}"
    for _ in range(20):
        first = served.recommend(user_id=user, k=5)
        stored = served.feedback(click(user, ids(first)[0], occurred_at=first["now"] + "Z")).json()
        second = served.recommend(user_id=user, k=5)
        assert stored["accepted"] == 1
        assert second["offset"] > stored["offsets"][0]
        assert ids(first)[0] not in ids(second)


def test_k_and_excludes_are_honoured(served):
    first = served.recommend(user_id="u4", k=10)
    without = served.recommend(user_id="u4", k=10, exclude_item_ids=[*ids(first)[:4], "never heard of"])
    assert not set(ids(without)) & set(ids(first)[:4])
    assert len(served.recommend(user_id="somebody new", k=100)["items"]) == 60  # the whole catalogue


def test_a_session_without_a_user(served):
    answer = served.recommend(history_item_ids=["i3", "i4", "unknown"], k=20)
    assert not {"i3", "i4"} & set(ids(answer))
    assert len(served.recommend(history_item_ids=[])["items"]) == 10


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/recommend", b"no json", 400, None),
        ("/recommend", b'{"user_id": "u", "k": 1000}', 422, "k"),
        ("/recommend", b'{"user_id": "u", "size": 10}', 422, "size"),
        ("/recommend", b'{"user_id": ["u"]}', 422, "user_id"),
        ("/feedback", b"[{]", 400, None),
        ("/feedback", b"{}", 422, "user_id"),
        ("/feedback", b'{"user_id": "u", "event": "stare", "item_id": "i1"}', 422, "event"),
        (
            "/feedback",
            b'{"user_id": "u", "event": "click", "item_id": "i1", "occurred_at": "soon"}',
            422,
            "occurred_at",
        ),
        ("/feedback", b'{"user_id": "u", "event": "click", "item_id": "i1", "occurred_at": 9e9}', 422, "occurred_at"),
        ("/feedback", b'{"user_id": "u", "event": "click", "item_id": "i1", "value": "5"}', 422, "value"),
        ("/feedback", b'{"user_id": "u\\u0000", "event": "click", "item_id": "i1"}', 422, "user_id"),
        ("/feedback", b'"text"', 422, None),
        ("/recommend", b"x" * (5 << 20), 413, None),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(served, path, body, status, field):
    before = served.http.get("/status").json()["offset"]
    answer = served.http.post(path, content=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.get("field") == field
    assert field is None or field in error["message"]
    assert served.http.get("/status").json()["offset"] == before
    assert "Traceback" not in served.output.read_text()


def test_a_list_of_events_is_taken_whole_or_not_at_all(served):
    good = [click("u5", "i1"), click("u5", "i2")]
    answer = served.feedback([*good, {"user_id": "u5", "event": "click", "item_id": ""}])
    assert answer.status_code == 422
    assert answer.json()["error"]["index"] == 2
    assert answer.json()["error"]["field"] == "item_id"
    stored = served.feedback(good).json()
    assert (stored["accepted"], stored["repeated"]) == (2, 0)


def test_feedback_sent_again_counts_once(served):
    event, other = click("u6", "i1"), click("u6", "i2")
    first = served.feedback(event).json()
    assert served.feedback(event).json() == {"accepted": 0, "repeated": 1, "offsets": first["offsets"]}
    mixed = served.feedback([event, other, other]).json()
    assert (mixed["accepted"], mixed["repeated"]) == (1, 2)
    assert mixed["offsets"][0] == first["offsets"][0]
    assert mixed["offsets"][1] == mixed["offsets"][2]


def test_other_addresses_and_methods(served):
    assert served.http.get("/nowhere").status_code == 404
    for path in ("/nowhere", "/no%0Awhere", "/items/line%0Abreak", "/items/%0A"):
        assert served.http.get(path).json()["error"]["message"]
    assert served.http.get("/recommend").status_code == 405
    assert served.http.put("/feedback").status_code == 405
    assert served.http.put("/items").headers["Allow"] == "GET, HEAD, POST"
    assert served.http.get("/users", params={"k": "many"}).json()["error"]["field"] == "k"
    for path in ("/healthz", "/livez", "/readyz", "/", "/hello"):
        assert served.http.get(path).status_code == 200


def test_what_the_page_asks_for(served):
    found = served.http.get("/items", params={"query": "film war", "k": 3}).json()["items"]
    assert len(found) == 3
    assert all("War" in item["categories"] for item in found)
    users = served.http.get("/users", params={"k": 5}).json()["users"]
    assert len(users) == 5
    assert users[0].keys() == {"user_id", "events"}
    assert served.http.get("/users/nobody").json()["events"] == 0


def test_metrics_count(served):
    served.recommend(user_id="u1")
    served.feedback({"user_id": "u"})
    text = served.http.get("/metrics").text
    for line in (
        'rec_requests_total{route="recommend",status="200"}',
        'rec_rejected_requests_total{route="feedback",status="422"}',
        "rec_list_seconds_bucket",
        "rec_log_offset",
        "rec_queue",
    ):
        assert line in text


def test_the_event_stream_tells_of_new_events(served):
    with served.http.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: status"
        offset = json.loads(next(lines).removeprefix("data: "))["offset"]
        threading.Thread(target=lambda: httpx.post(f"{served.http.base_url}/feedback", json=click("u7", "i9"))).start()
        data = next(line for line in lines if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))["offset"] > offset


def test_ready_only_when_warm(settings, serve):
    fill(settings).close()
    server = serve(settings)
    server.wait("/livez")
    codes, early = [], None
    while not codes or codes[-1] != 200:
        codes.append(server.http.get("/readyz").status_code)
        if codes[-1] == 503 and early is None:
            early = server.http.post("/recommend", json={"user_id": "u1"})
        time.sleep(0.02)
    assert codes[0] == 503
    assert early.status_code in (200, 503)  # it may have become warm in between
    server.recommend(user_id="u1")


def test_useful_over_an_empty_log(settings, serve):
    server = serve(settings).wait()
    assert server.recommend(user_id="u1")["items"] == []
    assert server.feedback(click("u1", "i1")).json()["offsets"] == [0]
    assert ids(server.recommend(user_id="u2")) == ["i1"]
    assert ids(server.recommend(user_id="u1")) == []


def test_every_worker_knows_a_users_newest_event(settings, serve):
    fill(settings).close()
    server = serve(settings, workers=2).wait()
    time.sleep(3)  # the other worker
    workers = set()
    for _ in range(40):
        with httpx.Client(
            base_url=server.http.base_url, timeout=20
        ) as http:  # a new connection may meet another worker
            answer = http.post("/recommend", json={"user_id": "u1", "k": 3})
            if answer.status_code == 503:
                continue
            workers.add(http.get("/status").json()["worker"])
            chosen = ids(answer.json())[0]
        with httpx.Client(base_url=server.http.base_url, timeout=20) as http:
            offset = http.post("/feedback", json=click("u1", chosen)).json()["offsets"][0]
        with httpx.Client(base_url=server.http.base_url, timeout=20) as http:
            second = http.post("/recommend", json={"user_id": "u1", "k": 3})
            if second.status_code == 200:
                assert second.json()["offset"] > offset
                assert chosen not in ids(second.json())
    assert len(workers) == 2


def test_killed_and_started_again_keeps_all_acknowledged_events(settings, serve):
    fill(settings).close()
    server = serve(settings).wait()
    acknowledged, stop = [], threading.Event()

    def send(number):
        with httpx.Client(base_url=server.http.base_url, timeout=5) as http:
            while not stop.is_set():
                event = click(f"u{number}", "i1")
                try:
                    if http.post("/feedback", json=event).status_code == 200:
                        acknowledged.append(event["event_id"])
                except httpx.HTTPError:
                    return

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    assert len(acknowledged) > 20
    again = serve(settings).wait()
    log = Log.open(settings.log_dir)
    kept = [record.event_id for record in log.read(0, log.head())]
    log.close()
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    assert again.recommend(user_id="u1")["offset"] >= len(kept)


def test_a_killed_supervisor_leaves_the_port(settings, serve):
    server = serve(settings).wait("/livez")
    server.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            server.http.get("/livez")
        except httpx.HTTPError:
            return
        time.sleep(0.1)
    raise AssertionError("a worker still answers")


@pytest.mark.slow
def test_an_open_event_stream_does_not_hold_up_the_end(settings, serve):
    server = serve(settings).wait()
    with server.http.stream("GET", "/events") as stream:
        next(stream.iter_lines())
        started = time.monotonic()
        server.process.terminate()
        server.process.wait(timeout=15)
    assert time.monotonic() - started < 10


def test_the_client_speaks_the_api(served):
    with Recommender(str(served.http.base_url)) as service:
        shown = service.recommend("u8", k=3, filter='"War" in categories')
        assert len(shown.items) == 3
        stored = service.feedback("u8", "click", shown.items[0].item_id, request_id=shown.request_id)
        assert stored.accepted == 1
        assert service.user("u8").history[0].item_id == shown.items[0].item_id
        assert service.session(["i1", "i2"], k=2).items
        assert service.rank("u8", ["i1", "i2"], seen="allowed").items
        assert service.similar("i1").items
        assert service.explain("u8", "i9").item_id == "i9"
        assert service.item("i1").title == "Film 1, The (1951)"
        assert service.search("film", 2) and service.popular(2) and service.new(2)
        assert service.trending(2, filter='"War" in categories') is not None
        assert service.models().checkpoints == []
        assert service.status()["ready"]
        with pytest.raises(ServiceError, match="404") as refused:
            service.item("no/such item")
        assert refused.value.field == "item_id"
        with pytest.raises(ServiceError, match="403"):
            service.upsert({"item_id": "i1", "price": 3})
        with pytest.raises(ServiceError, match="403"):
            service.delete("i1")
        with pytest.raises(ServiceError, match="403"):
            service.forget("u1")
