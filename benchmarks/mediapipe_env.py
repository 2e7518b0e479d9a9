"""MediaPipe in an environment of its own: it wants other versions of NumPy and OpenCV than facefx."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.lib import say
from facefx.models.build import REQUIREMENT

__all__ = ["add_option", "interpreter"]

# The OpenCV that comes with it asks for a display's libraries; the headless one does the same work.
DISPLAY, HEADLESS = "opencv-contrib-python", "opencv-contrib-python-headless>=4.11,<5"


def add_option(reader: argparse.ArgumentParser) -> None:
    """Let a user name an environment that is there already."""
    reader.add_argument(
        "--mediapipe", type=Path, help=f"an interpreter that has {REQUIREMENT} and av already"
    )


def interpreter(asked: Path | None, folder: Path) -> Path:
    """The interpreter that was asked for, else that of an environment made in a folder."""
    if asked:
        return asked
    say(f"installing {REQUIREMENT} …")
    python = folder / "mediapipe" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(folder / "mediapipe")],
        [*pip, "install", "-qq", REQUIREMENT, f"av=={metadata.version('av')}"],
        [*pip, "uninstall", "-qq", "-y", DISPLAY],
        [*pip, "install", "-qq", HEADLESS],
    ):
        subprocess.run(command, check=True)
    return python
