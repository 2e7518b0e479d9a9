"""`facefx doctor`: what this machine has, and what is missing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import facefx
from facefx.errors import ExitCode, FacefxError

__all__ = ["register"]

_PACKAGES = (
    "av",
    "numpy",
    "opencv-python-headless",
    "onnxruntime-gpu",
    "onnxruntime",
    "pyarrow",
    "fsspec",
    "ray",
)


def register(app: typer.Typer) -> None:
    """Add `doctor` to the app."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> int:
    """Check what this machine has: packages, codecs, nets, devices. Exit 1 if a run could not work.

    Example: facefx doctor
    """
    findings = [_check(name, look) for name, look in _CHECKS.items()]
    failed = any(not finding["ok"] for finding in findings)
    if as_json:
        typer.echo(json.dumps(findings, indent=2))
    else:
        table = Table("check", "", "found", box=None)
        for finding in findings:
            table.add_row(finding["check"], "ok" if finding["ok"] else "FAILED", finding["found"])
        Console(soft_wrap=True).print(table)
    return ExitCode.INTERNAL if failed else ExitCode.DONE


def _check(name: str, look: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "found": look()}
    except (FacefxError, ImportError, OSError) as error:
        return {"check": name, "ok": False, "found": str(error)}


def _versions() -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _detector() -> str:
    from facefx.faces.detector import choose_detector, make_detector

    spec = choose_detector("auto")
    make_detector(spec).close()
    return spec.reason


def _encoders() -> str:
    from facefx.video.codecs import available_encoders

    return ", ".join(available_encoders())


def _device() -> str:
    from facefx.models.session import cuda_problem

    problem = cuda_problem()
    return f"cpu ({problem})" if problem else "cpu, cuda"


_CHECKS: dict[str, Callable[[], str]] = {
    "facefx": lambda: facefx.__version__,
    "python": lambda: f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores",
    "packages": _versions,
    "encoders": _encoders,
    "detector": _detector,
    "device": _device,
}
