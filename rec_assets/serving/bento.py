"""Builds a bento that carries the promoted checkpoint: `python -m rec_assets.serving.bento [--gpu]`.

The checkpoint goes into BentoML's model store under a tag of its own, complete, together with the live state and
the names of the items at its watermark, for a bento is served beside an empty log. The bento then names that exact tag.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import bentoml
import pyarrow.parquet as pq
from bentoml import Bento

from rec_assets import durable
from rec_assets.events import parse
from rec_assets.features import state as live
from rec_assets.features import storage
from rec_assets.log import Log
from rec_assets.registry import NoCheckpoint, Registry
from rec_assets.registry.compaction import write_whole
from rec_assets.serving.catalogue import Catalogue
from rec_assets.serving.loading import CATALOGUE, CHECKPOINTS, READ_ROWS, STATE, read_catalogue
from rec_assets.serving.service import MODEL
from rec_assets.settings import Settings
from rec_assets.training import checkpoint as checkpoints

ROOT = Path(__file__).parents[2]


def pack(settings: Settings, directory: Path) -> str:
    """Fill a directory with all that serving the promoted checkpoint takes; returns the checkpoint's id.

    Raises NoCheckpoint where nothing is promoted.
    """
    registry, log = Registry(settings.checkpoints_dir), Log.open(settings.log_dir)
    pointer = registry.pointer()
    if pointer is None:
        raise NoCheckpoint(f"nothing is promoted in {settings.checkpoints_dir}: train first")
    (directory / CHECKPOINTS).mkdir(parents=True)
    write_whole(registry, pointer.id, directory / CHECKPOINTS)  # or CorruptCheckpoint
    durable.replace(directory / CHECKPOINTS / "promoted.json", (registry.directory / "promoted.json").read_bytes())
    state = checkpoints.state_of(registry, pointer.id, settings.kinds, log.start())
    for records in log.batches(state.offset, pointer.watermark, READ_ROWS):
        live.update(state, parse(records, state.kinds), records[-1].offset + 1)
    (directory / STATE).mkdir()
    storage.save(state, directory / STATE)
    catalogue = Catalogue(state.items)
    read_catalogue(catalogue, log, pointer.watermark, settings)
    pq.write_table(catalogue.to_arrow(), directory / CATALOGUE)
    log.close()
    return pointer.id


def build(settings: Settings, gpu: bool = False) -> Bento:
    """Put the promoted checkpoint into the model store and build a bento that names it."""
    with tempfile.TemporaryDirectory() as folder:
        packed, described = Path(folder) / "packed", Path(folder) / "bentofile.yaml"
        checkpoint_id = pack(settings, packed)
        with bentoml.models.create(MODEL, labels={"checkpoint": checkpoint_id}) as model:
            shutil.copytree(packed, model.path, dirs_exist_ok=True)
        described.write_text(bentofile(str(model.tag), gpu))
        return bentoml.bentos.build_bentofile(str(described), build_ctx=str(ROOT))


def bentofile(model: str, gpu: bool) -> str:
    """bentofile.yaml with the exact tag of the model; for a GPU with JAX for CUDA, whose libraries are wheels too."""
    text = (ROOT / "bentofile.yaml").read_text() + f'models:\n  - "{model}"\n'
    return text.replace('"jax==', '"jax[cuda12]==').replace("variant: cpu", "variant: gpu") if gpu else text


def main() -> None:
    """Build, and print the tag."""
    parser = argparse.ArgumentParser(description="Build a bento that carries the promoted checkpoint.")
    parser.add_argument("--gpu", action="store_true", help="an image with JAX for CUDA 12")
    bento = build(Settings(), parser.parse_args().gpu)
    sys.stdout.write(f"{bento.tag}\n")


if __name__ == "__main__":
    main()
