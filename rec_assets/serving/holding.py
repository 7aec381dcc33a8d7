"""Bentos, and the models that they carry, in BentoML's local store which still know a user."""

from pathlib import Path

import bentoml
import pyarrow.parquet as pq

from rec_assets.serving.loading import STATE
from rec_assets.serving.service import MODEL


def holding(user_id: str) -> list[str]:
    """One line each, with what to do."""
    ours = [model for model in bentoml.models.list() if model.tag.name == MODEL]
    models = [model for model in ours if _names(Path(model.path) / STATE, user_id)]
    tags = {str(model.tag) for model in models}
    bentos = [each for each in bentoml.bentos.list() if tags & {str(model.tag) for model in each.info.models}]
    return [
        *(f"model {tag}: bentoml models delete {tag}" for tag in sorted(tags)),
        *(f"bento {each.tag}: bentoml delete {each.tag}, then build anew" for each in bentos),
    ]


def _names(state: Path, user_id: str) -> bool:
    users = state / "users.parquet"
    return users.exists() and user_id in pq.read_table(users).column("id").to_pylist()
