"""Who is to be forgotten: the record that live states obey at once, and the job that stands in the log until it ends.

A job is the position of a source of its own, so that it is stored in the record's transaction. While it is open it says
whose it is, for whoever finishes it; then nothing of it but numbers stays.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec
from msgspec.structs import replace

from rec_assets import durable
from rec_assets.log.log import Log
from rec_assets.log.record import FORGET, Draft, digest_of

PREFIX = "forget:"


class Job(msgspec.Struct, frozen=True):
    """What stands in the log of one user's forgetting."""

    number: int = 0  # of the record that is worked on, or was last
    is_open: bool = False
    asked: int = 0  # the number of the newest record, `number` or later
    user_id: str | None = None  # while it is open
    left: dict[int, str] | None = None  # what stays of records, once that is known
    key: int = -1  # the user's in the live state, known then too; -1: none


class Asked(msgspec.Struct):
    """What the record says that whoever finishes the job needs: the user's key in the live state, -1: to be found."""

    key: int


def source_of(log: Log, user_id: str) -> str:
    """The source whose position the job is."""
    return PREFIX + digest_of(user_id, log.log_id)


def read(log: Log, user_id: str) -> Job:
    """The user's job as it stands; one of number 0 where nobody has ever asked."""
    return _decode(log.position(source_of(log, user_id)))


def waiting(log: Log) -> list[str]:
    """Users whose job is open, in no order that means anything."""
    query = "select position from positions where source between ? and ?"
    rows = log.tail.con.execute(query, (PREFIX, PREFIX + "g")).fetchall()  # hex digits come before
    jobs = [_decode(position) for (position,) in rows]
    return [job.user_id for job in jobs if job.is_open and job.user_id is not None]


def ask(log: Log, user_id: str, key: int) -> int:
    """Have the user forgotten; returns the offset of the record from which every live state does.

    Asked again before the job is done, while nothing new of the user has come, it is the same record. `key` is the
    user's in the live state at the log's head, -1 where there is none.
    """
    source = source_of(log, user_id)
    with _turn(log):
        job = read(log, user_id)
        if job.is_open:
            offset = offset_of(log, user_id, job.asked)
            query = "select 1 from records where user_id = ? and log_offset > ?"
            if key < 0 and log.tail.con.execute(query, (user_id, offset)).fetchone() is None:
                return offset
        number = max(job.number, job.asked) + 1
        began = job if job.is_open else Job(number, is_open=True, user_id=user_id)
        payload = msgspec.json.encode({"user": digest_of(user_id, log.log_id), "salt": log.log_id, "key": key})
        draft = Draft(FORGET, payload, event_id=f"{source}:{number}")
        return log.append([draft], source, _encode(replace(began, asked=number)))[0]


def offset_of(log: Log, user_id: str, number: int) -> int:
    """Where the record of this number is; KeyError for one that was never asked for."""
    event_id = f"{source_of(log, user_id)}:{number}"
    if (offset := log.offset_of(event_id)) is None:
        raise KeyError(event_id)
    return offset


def begin(log: Log, user_id: str, key: int, left: dict[int, str]) -> Job:
    """Store what has to be known before anything is erased, so that whoever finishes the job knows it too."""
    return _change(log, user_id, lambda job: replace(job, key=key, left=left))


def end(log: Log, user_id: str) -> Job:
    """The job is done; it is open again, for the next record, where another one has come meanwhile.

    They are worked off one by one, because whoever came back after a record has a new key.
    """
    return _change(log, user_id, _ended)


def _ended(job: Job) -> Job:
    if job.asked > job.number:
        return Job(job.number + 1, is_open=True, asked=job.asked, user_id=job.user_id)
    return Job(job.number, asked=job.number)


def _change(log: Log, user_id: str, changed: Callable[[Job], Job]) -> Job:
    with _turn(log):
        job = changed(read(log, user_id))
        log.append([], source_of(log, user_id), _encode(job))
    return job


def _turn(log: Log) -> AbstractContextManager[None]:
    return durable.locked(log.directory / "forget-jobs.lock")


def _decode(position: str | None) -> Job:
    return msgspec.json.decode(position or "{}", type=Job)


def _encode(job: Job) -> str:
    return msgspec.json.encode(job).decode()
