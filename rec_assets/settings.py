"""All that an installation can set, in one typed object: REC_* in the environment, else rec.toml, else a default."""

from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


@dataclass(frozen=True)
class Kind:
    """What an event says of its item: `weight` > 0 for, < 0 against; a `target` kind is predicted and scored."""

    weight: float = 1.0
    target: bool = True


KINDS = {
    "view": Kind(0.3, target=False),
    "click": Kind(),
    "read": Kind(),
    "like": Kind(),
    "share": Kind(),
    "rating": Kind(),
    "cart": Kind(),
    "purchase": Kind(),
    "return": Kind(-1.0, target=False),
    "hide": Kind(-1.0, target=False),
}


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
    warmup_passes: int = 8
    update_passes: int = 2
    # ranker
    ranker_rate: float = 1e-3
    ranker_update_rate: float = 3e-4
    ranker_passes: int = 6
    # online learning
    tested_events: int = 128  # at most so many events of a micro-batch are scored before it is learnt from
    gate_events: int = 1_000
    state_every_events: int = 20_000


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
    kinds: dict[str, Kind] = KINDS
    train: TrainConfig = TrainConfig()
    first_events: int = 1_000  # the first checkpoint waits for so many events
    batch_events: int = 20_000  # the most that one micro-batch takes; a backlog is worked in order
    batch_seconds: float = 2.0  # the least time from one micro-batch to the next
    keep_checkpoints: int = 20
    log_tail_rows: int = 200_000  # records kept in the log's SQLite tail; older ones become Parquet segments

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
    def checkpoints_dir(self) -> Path:
        return self.data / "checkpoints"

    @property
    def status_path(self) -> Path:
        return self.data / "status.json"

    @property
    def spool_path(self) -> Path:
        return self.data / "spool.sqlite"
