"""Messages of a topic become records, once, on librdkafka's own mock cluster."""

import threading
import time

import msgspec
import pytest
from confluent_kafka import Producer

from rec_assets.events import parse
from rec_assets.log import Log
from rec_assets.settings import KINDS, KafkaSource, Settings
from rec_assets.sources import SourceError, configured
from rec_assets.sources.kafka import Topic


@pytest.fixture(scope="module")
def cluster():
    """A producer that is a cluster too, and the cluster's address."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    return producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


SOON = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}  # for as long the mock lets a rebalance wait


def send(producer, topic, values, partition=0, **more):
    for value in values:
        value = msgspec.json.encode(value) if isinstance(value, dict) else value
        producer.produce(topic, value, partition=partition, **more)
    assert producer.flush(10) == 0


def source(cluster, topic, **settings):
    return KafkaSource(type="kafka", servers=cluster[1], topic=topic, **settings)


def event(user, **more):
    return {"user_id": user, "item_id": "007", "event": "click", **more}


def test_messages_become_records_once_with_the_position_of_each_partition(cluster, log):
    topic = source(cluster, "clicks")
    send(cluster[0], "clicks", [event(f"u{n}", occurred_at=1_700_000_000 + n) for n in range(5)], partition=0)
    send(cluster[0], "clicks", [event("v")], partition=1, timestamp=1_700_000_000_500)
    collected = Topic("shop", topic).collect(log)
    assert [(each.file, each.records) for each in collected] == [("kafka:shop/clicks/0", 5), ("kafka:shop/clicks/1", 1)]
    assert [log.position(f"kafka:shop/clicks/{n}") for n in range(3)] == ["5", "1", None]
    assert Topic("shop", topic).collect(log) == []
    send(cluster[0], "clicks", [event("w", event_id="e1"), event("w", event_id="e1")], partition=1)
    assert sum(each.records for each in Topic("shop", topic).collect(log)) == 1
    events = parse(log.read(0, 99), KINDS).events
    assert sorted(events.user_id) == ["u0", "u1", "u2", "u3", "u4", "v", "w"]
    assert events.occurred_at.tolist()[events.user_id.index("v")] == 1_700_000_000_500_000


def test_what_is_no_event_is_kept_as_it_came_and_rejected_later(cluster, log):
    odd = [b"\xff", b"[1]", b" ", None, b'{"user_id": ', event(1.5), event("u", ts=20260131), event("u", value="4,5")]
    send(cluster[0], "odd", [*odd, event("good")])
    Topic("shop", source(cluster, "odd")).collect(log)
    found = parse(log.read(0, 99), KINDS)
    assert [record.payload for record in log.read(0, 5)] == [b"\xff", b"[1]", b" ", b"null", b'{"user_id": ']
    assert found.rejected.offset.tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert found.events.user_id == ["u", "good"]


def test_names_and_kinds_come_from_the_settings(cluster, log):
    send(cluster[0], "products", [{"sku": "007", "title": "T", "price": 1.5}])
    send(cluster[0], "bought", [{"who": "u", "sku": "007", "when": "31.01.2026 12:00"}])
    products = {"kind": "item", "item_id": "sku"}
    bought = {"user_id": "who", "item_id": "sku", "occurred_at": "when", "time_format": "%d.%m.%Y %H:%M"}
    Topic("p", source(cluster, "products", columns=products)).collect(log)
    Topic("b", source(cluster, "bought", columns={**bought, "default_event": "purchase"})).collect(log)
    found = parse(log.read(0, 9), KINDS)
    assert (found.items.item_id, found.items.attributes) == (["007"], ['{"price":1.5}'])
    assert (found.events.event, found.events.occurred_at.tolist()) == (["purchase"], [1_769_860_800_000_000])


def test_followed_until_told_to_stop(cluster, tmp_path, log):
    send(cluster[0], "live", [event(f"u{n}") for n in range(100)], partition=0)
    stopping, settings = threading.Event(), Settings(data=tmp_path)
    settings.sources["live"] = source(cluster, "live")

    def run():
        with Log.open(tmp_path / "log") as log:
            configured.follow("live", settings, log, stopping.wait)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(log, 100)
    send(cluster[0], "live", [event("late")], partition=1)
    wait_for(log, 101)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert [log.position(f"kafka:live/live/{n}") for n in range(2)] == ["100", "1"]


@pytest.mark.slow
def test_a_rebalance_neither_loses_nor_repeats(cluster, tmp_path, log):
    stopping = [threading.Event() for _ in range(3)]

    def run(stop):
        with Log.open(tmp_path / "log") as log:
            Topic("shop", source(cluster, "busy", group="three", options=SOON)).follow(log, stop.wait)

    sent = 0
    for stop in stopping:
        threading.Thread(target=run, args=(stop,), daemon=True).start()
        for _ in range(20):
            for partition in range(4):
                send(cluster[0], "busy", [event("u", context={"n": sent + n}) for n in range(25)], partition)
                sent += 25
            time.sleep(0.2)
    stopping[0].set()
    wait_for(log, sent, seconds=60)
    for stop in stopping:
        stop.set()
    numbers = [msgspec.json.decode(record.payload)["context"]["n"] for record in log.read(0, log.head())]
    assert sorted(numbers) == list(range(sent))
    assert [log.position(f"kafka:shop/busy/{n}") for n in range(4)] == [str(sent // 4)] * 4


def wait_for(log, records, seconds=20):
    deadline = time.monotonic() + seconds
    while log.head() < records:
        assert time.monotonic() < deadline, f"{log.head()} of {records} records after {seconds} s"
        time.sleep(0.05)


def test_what_is_wrong_is_said_in_one_line(cluster, log, monkeypatch):
    monkeypatch.setattr("rec_assets.sources.kafka.REPLY_SECONDS", 1.0)
    send(cluster[0], "short", [event("u")])
    log.append([], "kafka:shop/short/0", "5")
    cases = {
        "topic nowhere at": source(cluster, "nowhere"),
        "Kafka at 127.0.0.1:9 does not answer": KafkaSource(type="kafka", servers="127.0.0.1:9", topic="t"),
        "No such configuration property": source(cluster, "short", options={"sasl.pasword": "x"}),
        "the environment variable NOWHERE": source(cluster, "short", options={"sasl.password": "${NOWHERE}"}),
        "partition 0 ends at 1, but was read up to 5: a new topic": source(cluster, "short"),
    }
    for message, origin in cases.items():
        with pytest.raises(SourceError) as error:
            Topic("shop", origin).collect(log)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_member_of_a_group_says_it_too(cluster, log):
    send(cluster[0], "short", [event("u")])
    log.append([], "kafka:shop/short/0", "5000")
    with pytest.raises(SourceError, match="but was read up to 5000"):
        Topic("shop", source(cluster, "short", group="other")).follow(log, threading.Event().wait)


def test_a_topic_of_which_nothing_is_accepted_says_so_and_its_messages_are_kept(cluster, log):
    send(cluster[0], "strange", [{"who": "u", "what": "i"}] * 3)
    with pytest.raises(SourceError, match=r"topic strange: none of its 3 rows would be accepted.*user_id: is missing"):
        Topic("strange", source(cluster, "strange")).collect(log)
    assert log.head() == 3
    send(cluster[0], "strange", [b"x"] * 100)
    with pytest.raises(SourceError, match=r"none of its 100 rows"):
        Topic("strange", source(cluster, "strange")).collect(log)
    assert log.head() == 103


@pytest.mark.slow
def test_who_follows_a_topic_of_which_nothing_is_accepted_ends_and_the_next_one_goes_on(cluster, tmp_path, log):
    """Each follower says so and ends, as often as it is started; the one that has no more to read waits for more.

    The mock lets a new member of a group wait for nearly the session's length after the last one has left; a broker
    does not.
    """
    for partition in range(3):
        send(cluster[0], "all-bad", [b"%d" % n for n in range(150)], partition)
    topic = source(cluster, "all-bad", group="bad", options=SOON)
    ends, told = [], threading.Event()

    def run():
        with Log.open(tmp_path / "log") as log:
            while not told.is_set():
                try:
                    Topic("shop", topic).follow(log, told.wait)
                    ends.append("told to")
                except SourceError as error:
                    ends.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(log, 450, seconds=60)
    send(cluster[0], "all-bad", [event("good")], partition=1)
    wait_for(log, 451, seconds=60)
    told.set()
    thread.join(20)
    assert not thread.is_alive()
    assert ends[-1] == "told to" and 1 <= len(ends) - 1 <= 3
    assert all("none of its" in each for each in ends[:-1])
    assert [log.position(f"kafka:shop/all-bad/{n}") for n in range(3)] == ["150", "151", "150"]
    assert log.verify() == []
