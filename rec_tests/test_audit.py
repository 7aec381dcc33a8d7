import importlib.util
from pathlib import Path

import pytest


@pytest.fixture
def audit():
    spec = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FOUND = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}]}
CLEAN = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def test_a_finding_fails_unless_it_is_ignored_for_a_reason(audit):
    code, lines = audit.judge([FOUND, CLEAN])
    assert (code, lines[0]) == (1, "a 1: PYSEC-1; fixed in 2")
    audit.IGNORED["CVE-1"] = "we never call it"
    code, lines = audit.judge([FOUND, CLEAN])
    assert (code, lines[0]) == (0, "a 1: PYSEC-1; ignored, we never call it")


def test_what_was_not_audited_is_said_and_no_failure(audit):
    code, lines = audit.judge([UNKNOWN, CLEAN])
    assert code == 0 and lines[0].startswith("NOT AUDITED: 1 of 2")
    assert audit.judge([])[1][0].startswith("NOT AUDITED: all")
