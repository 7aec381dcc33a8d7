import asyncio
import json

import pytest

from rec_assets.log import Log
from rec_assets.serving.bodies import Refused
from rec_assets.serving.feedback import Writer, drafts_of


def body(*numbers):
    events = [{"event_id": f"e{n}", "user_id": "u", "item_id": f"i{n}", "event": "click"} for n in numbers]
    return json.dumps(events).encode()


@pytest.fixture
def writer(settings):
    writer = Writer(settings.log_dir, limit=1_000)
    writer.start()
    yield writer
    writer.stop()


def test_many_requests_share_a_commit_and_keep_their_offsets(settings, writer):
    async def send():
        requests = [writer.append(drafts_of(body(2 * n, 2 * n + 1), settings.kinds)) for n in range(200)]
        return await asyncio.gather(*requests)

    stored = asyncio.run(send())
    assert sorted(offset for each in stored for offset in each.offsets) == list(range(400))
    assert sum(each.repeated for each in stored) == 0
    log = Log.open(settings.log_dir)
    for number, each in enumerate(stored):
        first, second = log.read(each.offsets[0], each.offsets[0] + 2)
        assert (first.event_id, second.event_id) == (f"e{2 * number}", f"e{2 * number + 1}")
    log.close()


def test_the_same_event_in_two_requests_of_one_group(settings, writer):
    async def send():
        return await asyncio.gather(*(writer.append(drafts_of(body(1), settings.kinds)) for _ in range(20)))

    stored = asyncio.run(send())
    assert {each.offsets[0] for each in stored} == {0}
    assert sum(each.repeated for each in stored) == 19


def test_a_log_that_cannot_be_written_is_told_loudly_and_tried_again(settings, tmp_path):
    settings.log_dir.write_text("a file where the log should be")
    writer = Writer(settings.log_dir, limit=10)
    writer.start()
    with pytest.raises(Refused) as refused:
        asyncio.run(writer.append(drafts_of(body(1), settings.kinds)))
    assert refused.value.status == 503
    settings.log_dir.unlink()
    assert asyncio.run(writer.append(drafts_of(body(1), settings.kinds))).offsets == [0]
    writer.stop()


def test_a_full_queue_is_refused(settings):
    writer = Writer(settings.log_dir, limit=1)

    async def send():
        waiting = asyncio.ensure_future(writer.append(drafts_of(body(1), settings.kinds)))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await writer.append(drafts_of(body(2), settings.kinds))
        waiting.cancel()
        return refused.value.status

    assert asyncio.run(send()) == 429
