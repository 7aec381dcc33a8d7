"""The peers' own environment, bench/peers/.venv: made from its lock, which keeps older NumPy than the project's."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
ROOT = PEERS.parents[1]


def python() -> Path:
    """The environment's interpreter; (re)made where the lock is another than the one it was made from."""
    lock = PEERS / "requirements.lock"
    made, wanted = PEERS / ".venv" / ".installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    interpreter = PEERS / ".venv" / "bin" / "python"
    if made.exists() and made.read_text() == wanted:
        return interpreter
    print("Installing the peers' locked packages into bench/peers/.venv: about two minutes", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS / ".venv")], check=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    subprocess.run([*pip, "--no-build-isolation", "--editable", str(ROOT)], check=True)
    made.write_text(wanted)
    return interpreter


def surroundings() -> dict[str, str]:
    """Environment variables for a run inside it: the project's path wins over whatever else is installed."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
