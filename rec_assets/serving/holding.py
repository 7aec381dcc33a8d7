"""Bentos, and the models that they carry, in BentoML's local stores which still know a user."""

import os
from collections.abc import Iterable
from pathlib import Path

import bentoml
import pyarrow.parquet as pq
from bentoml._internal.bento import BentoStore
from bentoml._internal.models import ModelStore

from rec_assets.serving.loading import STATE
from rec_assets.serving.service import MODEL


def stores(data: Path) -> list[Path]:
    """Where bentos of this installation may be: in the store of this shell, and in the one that `rec serve` uses."""
    of_this_shell = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")
    return list({path.absolute(): None for path in (of_this_shell, data / "bentoml")})


def holding(user_id: str, stores: Iterable[Path]) -> list[str]:
    """One line each, with what to do."""
    return [line for store in stores for line in _in(store, user_id)]


def _in(store: Path, user_id: str) -> list[str]:
    models, bentos = store / "models", store / "bentos"
    if not models.is_dir():
        return []
    ours = [model for model in bentoml.models.list(_model_store=ModelStore(models)) if model.tag.name == MODEL]
    tags = {str(model.tag) for model in ours if _names(Path(model.path) / STATE, user_id)}
    built = bentoml.bentos.list(_bento_store=BentoStore(bentos)) if bentos.is_dir() else []
    carrying = [bento for bento in built if tags & {str(model.tag) for model in bento.info.models}]
    command = f"BENTOML_HOME={store} bentoml"
    return [
        *(f"model {tag}: {command} models delete {tag}" for tag in sorted(tags)),
        *(f"bento {bento.tag}: {command} delete {bento.tag}, then build anew" for bento in carrying),
    ]


def _names(state: Path, user_id: str) -> bool:
    users = state / "users.parquet"
    return users.exists() and user_id in pq.read_table(users).column("id").to_pylist()
