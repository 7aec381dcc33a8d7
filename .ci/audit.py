"""Known vulnerabilities of what requirements.lock installs, by pip-audit. A finding fails.

An advisory service that cannot be asked is no finding, and no all-clear either: pip-audit ends with 0 where it was told
nothing of any package, so what was not audited is said here, loudly.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IGNORED: dict[str, str] = {}  # id of an advisory -> why it does not concern us, and until when
COMMAND = ["--disable-pip", "--require-hashes", "--timeout", "10", "--progress-spinner", "off", "--format", "json"]


def judge(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit code and what to say, from pip-audit's report."""
    lines, found = [], 0
    for each in dependencies:
        for advisory in each.get("vulns", []):
            names = {advisory["id"], *advisory.get("aliases", [])}
            reason = next((IGNORED[name] for name in sorted(names) if name in IGNORED), None)
            found += reason is None
            fixed = ", ".join(advisory.get("fix_versions", [])) or "no version yet"
            said = f"ignored, {reason}" if reason else f"fixed in {fixed}"
            lines.append(f"{each['name']} {each['version']}: {advisory['id']}; {said}")
    skipped = sum("skip_reason" in each for each in dependencies)
    if skipped or not dependencies:
        lines.append(
            f"NOT AUDITED: {skipped or 'all'} of {len(dependencies)} packages, the service told nothing of them"
        )
    lines.append(f"audited {len(dependencies) - skipped} packages: {found} findings")
    return int(found > 0), lines


def main() -> int:
    """Ask, and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "-r",
            str(ROOT / "requirements.lock"),
            *COMMAND,
            "-o",
            str(report),
        ]
        run = subprocess.run(command, capture_output=True, text=True)
        try:
            dependencies = json.loads(report.read_text())["dependencies"]
        except (FileNotFoundError, ValueError, KeyError):
            reason = (run.stdout + run.stderr).strip().splitlines()[-1:] or ["no report"]
            sys.stderr.write(f"NOT AUDITED: {reason[0][:300]}\n")
            return 0
    code, lines = judge(dependencies)
    sys.stderr.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
