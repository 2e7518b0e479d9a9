"""What is installed, pinned, shipped and licensed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import facefx

ROOT = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT: dict[str, Any] = tomllib.loads(read("pyproject.toml"))
# The sha256 of the licence's text as the Apache Software Foundation publishes it.
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def pin_problems(text: str) -> list[str]:
    """Lines of a constraints file that are not a plain, sorted, single `name==version`."""
    lines = text.splitlines()
    names = [canonicalize_name(line.split("==")[0]) for line in lines]
    odd = [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+]*", line)
    ]
    local = [line for line in lines if "+" in line]
    return odd + local + sorted({name for name in names if names.count(name) > 1})


def pins() -> dict[str, str]:
    found = [line.split("==") for line in read("constraints.txt").splitlines()]
    return {canonicalize_name(name): version for name, version in found}


def requirements(*extras: str) -> list[Requirement]:
    """What this platform installs, for the package, its build and the extras."""
    project = PROJECT["project"]
    texts = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    for extra in extras:
        texts += project["optional-dependencies"][extra]
    found = [Requirement(text) for text in texts]
    return [req for req in found if req.name != "facefx" and (req.marker is None or req.marker.evaluate())]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("numpy>=2", "a range"),
        ("numpy @ file:///x.whl", "a path"),
        ("--extra-index-url https://example.org", "an index"),
        ("numpy==2.4.6 --hash=sha256:00", "a hash"),
        ("numpy==2.4.6+cu1", "a local version"),
        ("numpy==2.4.6\nNumPy==2.4.5", "twice"),
        ("", "an empty line"),
    ],
)
def test_a_pin_that_is_no_pin_is_seen(line: str, why: str) -> None:
    assert pin_problems(f"av==18.1.0\n{line}\n"), why


def test_the_pins_are_plain() -> None:
    assert pin_problems(read("constraints.txt")) == []


def test_everything_that_is_installed_is_pinned_within_its_range() -> None:
    loose = [
        str(req)
        for req in requirements("build", "dev")
        if not req.specifier.contains(pins().get(canonicalize_name(req.name), "0"), prereleases=True)
    ]
    assert loose == []


def test_the_version_is_one_and_the_changelog_knows_it() -> None:
    assert PROJECT["project"]["version"] == facefx.__version__
    assert re.search(
        rf"^## \[(Unreleased|{re.escape(facefx.__version__)})\]", read("CHANGELOG.md"), re.MULTILINE
    )


def test_the_licence_is_the_whole_apache_licence() -> None:
    assert hashlib.sha256(read("LICENSE").encode()).hexdigest() == APACHE_2


def wheel_names(folder: Path) -> set[str]:
    """Build the wheel and list what is in it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_package_its_data_and_nothing_else(tmp_path: Path) -> None:
    names = wheel_names(tmp_path)
    data = {
        str(path.relative_to(ROOT))
        for folder in ("facefx/assets", "facefx/models")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert data | {"facefx/py.typed", "facefx/__main__.py"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"facefx", f"facefx-{facefx.__version__}.dist-info"}
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def unnoticed(notice: str, folder: Path) -> list[str]:
    """Shipped nets and pictures that NOTICE does not name."""
    kinds = {".onnx", ".png", ".jpg", ".npz", ".tflite"}
    shipped = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds]
    return [path.name for path in shipped if str(path.relative_to(folder.parent)) not in notice]


def test_notice_names_every_shipped_file_that_comes_from_others(tmp_path: Path) -> None:
    (tmp_path / "facefx" / "assets").mkdir(parents=True)
    (tmp_path / "facefx" / "assets" / "new.png").touch()
    assert unnoticed(read("NOTICE"), tmp_path / "facefx") == ["new.png"]
    assert unnoticed(read("NOTICE"), ROOT / "facefx") == []


def test_the_gate_runs_what_the_readme_tells() -> None:
    gate = read(".ci/run")
    for command in ("make test", "make lint", "make demo"):
        assert command in read("README.md")
        assert re.search(rf"^part \w+ {command}\b", gate, re.MULTILINE), command
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize(
    "target", ["demo", "test", "lint", "bench", "bench-effects", "docs", "test-gpu", "clean"]
)
def test_make_knows_the_target(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
