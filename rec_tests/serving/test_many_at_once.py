"""Clients that are slow, more of them than there is room for, and a first request that no other has to wait for."""

import asyncio
import gc
import json
import shutil
import socket
import threading
import time

import fuzzing
import httpx
import jax
import pytest
from in_process import InProcess
from numba.core.dispatcher import Dispatcher

from rec_assets.serving import bodies, keys
from rec_assets.serving.worker import WAITING_LISTS

MORE = 40
WISH = {"user_id": "u1", "k": 5}


@pytest.fixture(scope="module")
def service(once_trained, tmp_path_factory):
    data = tmp_path_factory.mktemp("many") / "data"
    shutil.copytree(once_trained.data, data, symlinks=True)
    started = InProcess(once_trained.model_copy(update={"data": data}))
    yield started
    started.stop()


def connect(service, *parts):
    """A connection that has sent so much and no more."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    connection.sendall(b"".join(parts))
    return connection


def head(length):
    return (
        b"POST /recommend HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % length
    )


def test_slow_clients_hold_up_nobody_and_get_their_answer_when_they_are_done(service):
    body = json.dumps(WISH).encode()
    slow = [connect(service, head(len(body))[: 20 + n]) for n in range(50)]  # in the middle of the headers
    slow += [connect(service, head(len(body)), body[:n]) for n in range(len(body))]  # and of the body
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=20) as http:
        for _ in range(20):
            assert len(http.post("/recommend", json=WISH).json()["items"]) == 5
    slow[0].sendall(head(len(body))[20:] + body)
    slow[-1].sendall(body[-1:])
    for connection in (slow[0], slow[-1]):
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    for connection in slow:
        connection.close()


def test_who_does_not_go_on_with_a_body_is_told_so(service, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    connection = connect(service, head(100), b'{"user_id": ')
    answer = connection.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"within" in answer
    connection.close()


def test_a_flood_gets_429_and_who_was_taken_gets_a_list(service):
    held, go = threading.Event(), threading.Event()
    service.worker.compute.post(lambda: (held.set(), go.wait(60)))
    assert held.wait(10)

    async def flood():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", timeout=60, limits=limits) as http:
            sent = [asyncio.ensure_future(http.post("/recommend", json=WISH)) for _ in range(WAITING_LISTS + MORE)]
            refused = []
            for one in asyncio.as_completed(sent):  # those that are refused are so at once, while nothing is computed
                refused.append(await one)
                if len(refused) == MORE:
                    break
            held_up = sum(not one.done() for one in sent)
            page = await http.get("/status")
            go.set()
            return refused, held_up, page, [await one for one in sent]

    try:
        refused, held_up, page, answers = asyncio.run(flood())
    finally:
        go.set()
    assert {answer.status_code for answer in refused} == {429}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert "try again" in refused[0].json()["error"]["message"]
    assert held_up == WAITING_LISTS
    assert page.status_code == 200  # what needs no computing goes on
    taken = [answer for answer in answers if answer.status_code == 200]
    assert len(taken) == WAITING_LISTS
    assert all(len(answer.json()["items"]) == 5 for answer in taken)


def compiled():
    """How many functions numba has compiled or read from its cache."""
    gc.unfreeze()
    return {
        kernel.py_func.__qualname__: len(kernel.signatures)
        for kernel in gc.get_objects()
        if isinstance(kernel, Dispatcher)
    }


def test_no_request_compiles_anything_while_others_wait(service):
    before, by_jax = compiled(), []

    def note(event, _, **told):
        if event.endswith("backend_compile_duration") and threading.current_thread().name == "compute":
            by_jax.append(told)

    jax.monitoring.register_event_duration_secs_listener(note)
    settings, url = service.worker.settings, f"http://127.0.0.1:{service.port}"
    key = keys.add(settings.keys_path, "all", ["read", "feedback", "admin"], None)
    while httpx.get(f"{url}/status").status_code != 401:  # until the key counts
        time.sleep(0.05)
    found = fuzzing.send(url, key, fuzzing.requests(seed=1, number=210))
    jax.monitoring.unregister_event_duration_listener(note)
    assert found.wrong == []
    assert compiled() == before
    assert by_jax == []
