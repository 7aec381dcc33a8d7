"""What a bench runs in: what JAX has compiled is shared; the peers' own environments, in bench/peers, are made from
their locks, which keep older NumPy than the project's.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
ROOT = PEERS.parents[1]


def python() -> Path:
    """The interpreter of those that are compared in quality; (re)made where the lock is another than it was."""
    return _made(PEERS / "requirements.lock", PEERS / ".venv", sys.executable, ours=True)


def recotem() -> Path | None:
    """The interpreter of the service that ours is compared with; None where there is no Python 3.12 for it."""
    newer = shutil.which("python3.12")
    return _made(PEERS / "recotem.lock", PEERS / ".venv-recotem", newer, ours=False) if newer else None


def _made(lock: Path, folder: Path, by: str, ours: bool) -> Path:
    made, wanted = folder / ".installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    interpreter = folder / "bin" / "python"
    if made.exists() and made.read_text() == wanted:
        return interpreter
    print(f"Installing the locked packages of {lock.name}: about two minutes", file=sys.stderr)
    subprocess.run([by, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    if ours:
        subprocess.run([*pip, "--no-build-isolation", "--editable", str(ROOT)], check=True)
    made.write_text(wanted)
    return interpreter


def surroundings() -> dict[str, str]:
    """Environment variables for a run inside it: the project's path wins over whatever else is installed."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}


def share_compiled(data: Path) -> None:
    """Let a new installation use what was compiled here before."""
    kept = ROOT / "data" / "compiled"
    for folder in (kept, data):
        folder.mkdir(parents=True, exist_ok=True)
    (data / "compiled").symlink_to(kept)
