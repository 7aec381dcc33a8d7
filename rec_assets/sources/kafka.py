"""A Kafka topic: JSON values into the log, each partition's offset in the transaction that stores its messages.

What the broker is told of offsets is for its monitoring tools alone; where to read on is what the log says. Memory is
bounded: one batch is in hand, and the client fetches no more than QUEUE_KB ahead while the log takes it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from rec_assets.log import Draft, Log
from rec_assets.settings import KINDS, KafkaSource, Kind
from rec_assets.sources.accepted import Beginning
from rec_assets.sources.environment import filled
from rec_assets.sources.mapping import USUAL, ColumnMapping
from rec_assets.sources.rows import Row, json_row
from rec_assets.sources.source import Collected, Progress, SourceError, Stop

BATCH_MESSAGES = 2_000
WAIT_SECONDS = 0.2  # for more messages, when there are some
REPLY_SECONDS = 10.0
QUEUE_KB = 16_384


class Topic:
    """One topic. Several processes may follow it in one group: each gets some of its partitions."""

    def __init__(self, name: str, origin: KafkaSource, kinds: Mapping[str, Kind] = KINDS) -> None:
        self.name, self.origin = name, origin
        self._beginning = Beginning(f"topic {origin.topic}", kinds, whole=True)
        self.mapping = ColumnMapping.like(origin.columns).of_objects(f"topic {origin.topic}")
        self._problem: str | None = None
        self._ended: set[int] = set()
        self._totals: dict[int, Collected] = {}
        self._read = 0

    def collect(self, log: Log, progress: Progress | None = None) -> list[Collected]:
        """Append what all partitions have, to their ends, outside of the group. Raises SourceError."""
        with self._consumer({"fetch.wait.max.ms": "50"}) as consumer:  # ends are known without a long wait for more
            partitions = self._partitions(consumer)
            self._assign(consumer, [TopicPartition(self.origin.topic, each) for each in partitions], log)
            while not self._ended.issuperset(partitions):
                self._take(consumer, log, progress)
        self._beginning.end()
        return [self._totals[each] for each in sorted(self._totals)]

    def follow(self, log: Log, stop: Stop, progress: Progress | None = None) -> None:
        """Append what comes, as a member of the group, until `stop` says so. Raises SourceError."""
        with self._consumer({}) as consumer:
            self._partitions(consumer)
            consumer.subscribe(
                [self.origin.topic], on_assign=lambda consumer, given: self._assign(consumer, given, log)
            )
            while not stop(0.0):
                stored = self._take(consumer, log, progress)
                if stored:
                    consumer.commit(offsets=stored, asynchronous=True)

    def _consumer(self, hurry: dict[str, str]) -> Consumer:
        options = hurry | {key: filled(value) for key, value in self.origin.options.items()}
        ours = {
            "bootstrap.servers": self.origin.servers,
            "group.id": self.origin.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # never begin anywhere else in silence
            "allow.auto.create.topics": False,
            "error_cb": self._note,
        }
        try:
            return Consumer({"queued.max.messages.kbytes": QUEUE_KB, "log_level": 0, **options, **ours})
        except (KafkaException, TypeError) as error:
            raise SourceError(f"sources.{self.name}.options: {_said(error)}") from None

    def _note(self, error: KafkaError) -> None:
        """What the client says of its connections: it tries again by itself, so it matters only if nothing comes."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN or self._problem is None:
            self._problem = error.str()

    def _partitions(self, consumer: Consumer) -> list[int]:
        topic, servers = self.origin.topic, self.origin.servers
        try:
            found = consumer.list_topics(topic, timeout=REPLY_SECONDS).topics[topic]
        except KafkaException as error:
            consumer.poll(0)  # so that the client says why
            raise SourceError(f"Kafka at {servers} does not answer: {self._problem or _said(error)}") from None
        if found.error is not None:
            raise SourceError(f"topic {topic} at {servers}: {found.error.str()}")
        return sorted(found.partitions)

    def _source(self, partition: int) -> str:
        return f"kafka:{self.name}/{self.origin.topic}/{partition}"

    def _assign(self, consumer: Consumer, given: list[TopicPartition], log: Log) -> None:
        """Begin each partition where the log says. Raises SourceError, which the client hands on to whoever reads."""
        for each in given:
            position = log.position(self._source(each.partition))
            self._beginning.whole &= position is None
            each.offset = OFFSET_BEGINNING if position is None else self._checked(consumer, each, int(position))
        consumer.assign(given)

    def _checked(self, consumer: Consumer, given: TopicPartition, start: int) -> int:
        where = f"topic {given.topic}, partition {given.partition}"
        try:
            low, high = consumer.get_watermark_offsets(given, timeout=REPLY_SECONDS)
        except KafkaException as error:
            raise SourceError(f"{where}: {_said(error)}") from None
        if start > high:
            raise SourceError(
                f"{where} ends at {high}, but was read up to {start}: a new topic of the same name? "
                f"Then give sources.{self.name} another name in rec.toml"
            )
        if start < low and not self.origin.skip_lost:
            raise SourceError(
                f"{where}: Kafka has deleted {low - start} messages from {start} on that were not read yet; "
                f"to go on without them set sources.{self.name}.skip_lost = true"
            )
        return max(start, low)

    def _take(self, consumer: Consumer, log: Log, progress: Progress | None) -> list[TopicPartition]:
        """Append one batch; returns how far each partition has been read."""
        drafts: dict[int, list[Draft]] = defaultdict(list)
        past: dict[int, int] = {}
        for message in self._consume(consumer):
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None
            drafts[partition].append(self._draft(message, offset))
            past[partition] = offset + 1
        for partition, each in drafts.items():
            self._append(log, partition, each, past[partition])
        for each in drafts.values():
            self._beginning.look(each)
        if drafts and progress is not None:
            self._read += sum(map(len, drafts.values()))
            progress(self.origin.topic, self._read)
        return [TopicPartition(self.origin.topic, partition, offset) for partition, offset in past.items()]

    def _append(self, log: Log, partition: int, drafts: Sequence[Draft], past: int) -> None:
        head = log.head()
        new = {at for at in log.append(drafts, self._source(partition), str(past)) if at >= head}
        before = self._totals.get(partition, Collected(self._source(partition), 0, head, head))
        start = before.start if before.records else min(new, default=head)
        end = max(new, default=before.end - 1) + 1
        self._totals[partition] = before._replace(records=before.records + len(new), start=start, end=end)

    def _consume(self, consumer: Consumer) -> list[Message]:
        messages = []
        try:
            received = consumer.consume(BATCH_MESSAGES, WAIT_SECONDS)
        except KafkaException as error:
            raise SourceError(f"topic {self.origin.topic}: {_said(error)}") from None
        for message in received:
            problem = message.error()
            if problem is None:
                messages.append(message)
            elif problem.code() == KafkaError._PARTITION_EOF:
                self._ended.add(int(message.partition() or 0))
            else:
                raise SourceError(f"topic {self.origin.topic}, partition {message.partition()}: {problem.str()}")
        return messages

    def _draft(self, message: Message, offset: int) -> Draft:
        """The message's record. A value that is no JSON object is kept as it came, for the validation to reject."""
        value = message.value()
        value = b"null" if value is None else value.encode() if isinstance(value, str) else value
        row = json_row(offset, value) or Row(offset, value)
        if isinstance(row.values, dict) and self.mapping.kind == "event":
            named = self.origin.columns.occurred_at
            names = USUAL["occurred_at"] if named is None else (named,)
            kind, millis = message.timestamp()
            if kind and all(row.values.get(name) is None for name in names):  # the message knows when it was written
                row.values[names[0]] = datetime.fromtimestamp(millis / 1e3, UTC).isoformat()
        elif not isinstance(row.values, dict):
            row = Row(offset, value)
        return self.mapping.draft(row)._replace(source_position=str(offset))


def _said(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
