"""All that an installation can set, in one typed object: REC_* in the environment, else rec.toml, else a default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


@dataclass(frozen=True)
class Kind:
    """What an event says of its item: `weight` > 0 for, < 0 against; a `target` kind is predicted and scored.

    From -1 down the item leaves its user's lists at once; above it, once such weights add up to -1.
    """

    weight: float = 1.0
    target: bool = True
    value: Literal["", "rating", "price", "seconds"] = ""  # what its number means
    least: float | None = None  # a value below it, or above `most`, is rejected
    most: float | None = None
    fill: float | None = None  # the value of an event that gives none
    against_below: float | None = None  # with a value below it the event speaks against its item, and is no target


VIEW, AGAINST, SKIP = Kind(0.3, target=False), Kind(-1.0, target=False), Kind(-0.2, target=False)
READ, RATING, PRICED = Kind(value="seconds", least=0.0), Kind(value="rating"), Kind(value="price")
# The vocabulary of events per setting `domain`; the first one takes data of any.
DOMAINS: dict[str, dict[str, Kind]] = {
    "any": {
        "view": VIEW,
        "click": Kind(),
        "read": READ,
        "like": Kind(),
        "share": Kind(),
        "rating": RATING,
        "cart": PRICED,
        "purchase": PRICED,
        "return": AGAINST,
        "hide": AGAINST,
        "skip": SKIP,
    },
    "e-commerce": {"view": VIEW, "cart": Kind(0.7, value="price"), "purchase": PRICED, "return": AGAINST, "skip": SKIP},
    "social": {"view": VIEW, "like": Kind(), "share": Kind(), "hide": AGAINST, "skip": SKIP},
    "news": {"impression": Kind(0.0, target=False), "read": READ, "like": Kind(), "skip": SKIP},
    "ratings": {"rating": Kind(value="rating", against_below=2.5)},
}
KINDS = DOMAINS["any"]


@dataclass(frozen=True)
class Denoising:
    """Which rows are kept in the tables but not learnt from; 0 turns a rule off. No window may pass 86,400 s."""

    repeat_seconds: float = 10.0  # the same user, item and kind once more within so many seconds
    burst_events: int = 1_000  # more of one user than a person makes within burst_seconds
    burst_seconds: float = 10.0
    crawler_events: int = 3_000  # more of one user than a person makes within crawler_seconds
    crawler_seconds: float = 3_600.0
    crawler_agents: str = "bot|crawl|spider|slurp"  # in the context's user_agent; "" turns it off
    dwell_seconds: float = 3.0  # what was looked at for less was not read
    contradiction_seconds: float = 3_600.0  # for an item and, within so many seconds, against it (or the reverse)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that changes what is learnt; saved in every checkpoint."""

    seed: int = 0
    repeats: bool = False  # whether an item that a user already had may be shown and scored again
    # live state
    history_size: int = 1024  # newest events kept per user
    # candidates
    candidates: int = 384  # per list, from all sources together
    per_source: int = 60
    # sequence encoder
    embedding_dim: int = 64
    blocks: int = 2
    heads: int = 2
    window: int = 50
    dropout: float = 0.2
    encoder_rate: float = 4e-3
    encoder_update_rate: float = 1e-3
    warmup_passes: int = 12
    update_passes: int = 2
    # item rows
    item_rows: int = 1_000_000  # at most; when full, those unseen for longest go
    admit_events: int = 1  # an item has a row from its n-th event on
    item_live_days: float = 0.0  # a row goes when its item was not seen for so long; 0: it stays
    # ranker
    ranker_rate: float = 1e-3
    ranker_update_rate: float = 3e-4
    ranker_passes: int = 6
    # online learning
    tested_events: int = 128  # at most so many events of a micro-batch are scored before it is learnt from
    replay_share: float = 0.5  # of what an update learns, below 1: earlier events, against forgetting
    replay_half_life_days: float = 0.0  # after which an event is half as likely to be kept for replay; 0: never
    gate_events: int = 1_000
    drift_rate: float = 1.0  # times the update rates, for drift_batches micro-batches after the loss has turned
    drift_batches: int = 10
    state_every_events: int = 20_000
    whole_every: int = 50  # of so many checkpoints one holds all item rows, the others only those that changed


class Promise(BaseModel, frozen=True, extra="forbid"):
    """How soon, from receipt, an event is to be in the weights that every live service worker serves."""

    p50_seconds: float = 4.0
    p95_seconds: float = 8.0
    p99_seconds: float = 15.0


class Alerts(BaseModel, frozen=True, extra="forbid"):
    """Where to send a broken promise, a rollback, a refusal and an alarm of drift."""

    webhook: str = ""  # an http(s) URL that takes a POST of JSON; "": nowhere


class Columns(BaseModel, frozen=True, extra="forbid"):
    """What a source calls the canonical fields (None: one of the usual names), and how it writes times and numbers."""

    user_id: str | None = None
    item_id: str | None = None
    event: str | None = None
    value: str | None = None
    occurred_at: str | None = None
    event_id: str | None = None
    request_id: str | None = None
    title: str | None = None
    categories: str | None = None
    kind: Literal["event", "item", "user"] | None = None  # None: told by the columns that there are
    default_event: str | None = None  # the event of rows that do not say theirs
    time_format: str | None = None  # "s", "ms", "us" since 1970, or as strptime has it: "%d.%m.%Y %H:%M"
    timezone: str = "UTC"  # of times that do not say theirs
    decimal: Literal[".", ","] | None = None  # of numbers as text; None: a point, and a comma is an error


Character = Annotated[str, StringConstraints(min_length=1, max_length=1)]


class Csv(BaseModel, frozen=True, extra="forbid"):
    """How CSV files are written."""

    delimiter: Character | None = None  # None: told by the header
    quote: Annotated[str, StringConstraints(max_length=1)] = '"'  # "": a quote is a character like others
    escape: Character | None = None
    encoding: str = "utf-8"


class FileSource(BaseModel, frozen=True, extra="forbid"):
    """Files at a path or fsspec URL: a file, a folder or a pattern. The one named "landing" describes data/landing."""

    type: Literal["files"]
    url: str = ""
    follow: bool = False  # files that grow, read on from where they ended the last time
    every_seconds: float = 60.0
    columns: Columns = Columns()
    csv: Csv = Csv()
    options: dict[str, Any] = {}  # as the file system takes them: key, secret, endpoint_url


class SqlSource(BaseModel, frozen=True, extra="forbid"):
    """A table or view of a database. ${NAME} in the URL stands for the environment variable NAME."""

    type: Literal["sql"]
    url: str
    table: str
    id: str = "id"  # unique
    updated_at: str = "updated_at"  # set at every change, never null
    every_seconds: float = 60.0
    columns: Columns = Columns()


class KafkaSource(BaseModel, frozen=True, extra="forbid"):
    """A topic whose values are JSON objects. ${NAME} in an option stands for the environment variable NAME."""

    type: Literal["kafka"]
    servers: str
    topic: str
    group: str = "rec"
    skip_lost: bool = False  # go on where Kafka no longer has messages that were not read yet; else that is an error
    columns: Columns = Columns()
    options: dict[str, str] = {}  # as librdkafka takes them: security.protocol, sasl.password


class OwnSource(BaseModel, frozen=True, extra="forbid"):
    """A class of your own, as `module:Class`; it is called with the options."""

    type: Literal["python"]
    call: str
    every_seconds: float = 10.0
    options: dict[str, Any] = {}


Origin = Annotated[FileSource | SqlSource | KafkaSource | OwnSource, Field(discriminator="type")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+$")]


class Settings(BaseSettings):
    """One installation. `data` holds all that it stores; every path below lies in it."""

    model_config = SettingsConfigDict(
        env_prefix="REC_", env_nested_delimiter="__", toml_file="rec.toml", extra="forbid"
    )

    data: Path = Path("data")
    host: str = "127.0.0.1"
    service_port: int = 3000
    dagster_port: int = 3070
    workers: int = 1
    domain: Literal["any", "e-commerce", "social", "news", "ratings"] = "any"
    # Where they are given, they take the place of the domain's.
    kinds: dict[str, Kind] = Field(default_factory=lambda given: DOMAINS[given.get("domain", "any")])
    sources: dict[Name, Origin] = {}  # what brings records, beside data/landing and the service
    denoising: Denoising = Denoising()
    train: TrainConfig = TrainConfig()
    promise: Promise = Promise()
    alerts: Alerts = Alerts()
    first_events: int = 1_000  # the first checkpoint waits for so many events
    batch_events: int = 20_000  # the most that one micro-batch takes; a backlog is worked in order
    batch_seconds: float = 2.0  # the least time from one micro-batch to the next
    keep_checkpoints: int = 20
    rules: Path = Path("rules.toml")  # business rules of the service; read again whenever it changes
    # A list that is not begun so long after its request is of what is popular.
    list_seconds: Annotated[float, Field(gt=0, lt=5)] = 1.0
    anyone: bool = False  # without API keys, answer not only this machine
    cors_origins: list[str] = []  # pages of other addresses that may call the service: "https://shop.example"
    log_tail_rows: int = 200_000  # records kept in the log's SQLite tail; older ones become Parquet segments
    # Segments that are older, or that make all of them larger, are dropped once nothing needs them; None: none is.
    log_keep_days: Annotated[float, Field(ge=0)] | None = None
    log_keep_gib: Annotated[float, Field(ge=0)] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def landing_dir(self) -> Path:
        return self.data / "landing"

    @property
    def log_dir(self) -> Path:
        return self.data / "log"

    @property
    def warehouse_path(self) -> Path:
        return self.data / "warehouse.duckdb"

    @property
    def published_dir(self) -> Path:
        return self.data / "published"

    @property
    def checkpoints_dir(self) -> Path:
        return self.data / "checkpoints"

    @property
    def status_path(self) -> Path:
        return self.data / "status.json"

    @property
    def lists_dir(self) -> Path:
        return self.data / "lists"

    @property
    def keys_path(self) -> Path:
        return self.data / "keys.json"

    @property
    def spool_path(self) -> Path:
        return self.data / "spool.sqlite"
