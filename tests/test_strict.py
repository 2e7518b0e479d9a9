"""Strictness is real: a skipped test fails the gate, a missing GPU does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

SKIPS = {
    "by_call": "def test_x():\n    pytest.skip('no program')",
    "by_mark": "@pytest.mark.skipif(True, reason='no program')\ndef test_x(): ...",
    "by_fixture": "def test_x(media): ...",
    "by_import": "pytest.importorskip('no_such_program')\ndef test_x(): ...",
}
GPU = "@pytest.mark.gpu\ndef test_x():\n    pytest.skip('no device')"


def outcome(folder: Path, test: str, **variables: str) -> int:
    """Exit code of pytest on one test file under our conftest."""
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_one.py").write_text(f"import pytest\n{test}\n", encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FACEFX_", "PYTEST_"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "markers=gpu",
        str(folder),
    ]
    beside = {"PYTHONPATH": str(CONFTEST.parent)}  # the conftest's own helpers
    done = subprocess.run(
        command, cwd=folder, env={**kept, **beside, **variables}, capture_output=True, check=False
    )
    return done.returncode


@pytest.mark.parametrize("how", SKIPS)
def test_a_skipped_test_passes_only_where_things_may_be_missing(how: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, SKIPS[how]) in {0, 5}  # 5: a module that skips itself leaves no test
    assert outcome(tmp_path, SKIPS[how], FACEFX_STRICT="1") not in {0, 5}


def test_a_gpu_test_may_be_skipped_by_the_gate_but_not_by_the_gpu_run(tmp_path: Path) -> None:
    assert outcome(tmp_path, GPU, FACEFX_STRICT="1") == 0
    assert outcome(tmp_path, GPU, FACEFX_GPU="1") == 1


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert outcome(tmp_path, "@pytest.mark.xfail\ndef test_x():\n    assert False", FACEFX_STRICT="1") == 0
