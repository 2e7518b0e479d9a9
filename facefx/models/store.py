"""The store: from a card to a file on this machine that is exactly what the card says."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from facefx.errors import ConfigError, ModelError, WeightsMismatchError, WeightsMissingError
from facefx.models.catalog import ModelCard
from facefx.storage import sha256_file

if TYPE_CHECKING:
    from facefx.models.session import Session

__all__ = ["FETCH_TIMEOUT_S", "cache_folder", "find_weights", "load_session", "locate", "sha256_of", "verify"]

# The longest that a run waits for a net that it does not have, name look-up and transfer together.
FETCH_TIMEOUT_S = 8.0
# The longest silence of the other side within that.
SOCKET_TIMEOUT_S = 3.0

DATA = Path(__file__).with_name("data")

_log = logging.getLogger("facefx.models")


def model_folders() -> tuple[Path, ...]:
    """The folders that FACEFX_MODELS names, in order.

    Raises ConfigError for one that is not there: a typo must not silently choose another detector.
    """
    folders = tuple(Path(part) for part in os.environ.get("FACEFX_MODELS", "").split(os.pathsep) if part)
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"FACEFX_MODELS names {str(folder)!r}, which is not a folder; correct or unset it"
            )
    return folders


def cache_folder() -> Path:
    """Where fetched nets are kept: `models` in FACEFX_CACHE, XDG_CACHE_HOME/facefx or ~/.cache/facefx."""
    own = os.environ.get("FACEFX_CACHE")
    if own:
        return Path(own) / "models"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "facefx" / "models"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file.

    Raises ModelError if it cannot be read.
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise ModelError(
            f"{path}: weights cannot be read: {error.strerror or error}; check its permissions"
        ) from error


def verify(card: ModelCard, path: Path) -> Path:
    """Return path if it holds the very file that the card names.

    Raises WeightsMismatchError: another file is never used in its place.
    """
    got = sha256_of(path)
    if got != card.sha256:
        raise WeightsMismatchError(
            f"{path}: weights of net {card.name!r} have the wrong sha256: expected {card.sha256}, got {got}; "
            "delete the file, or replace it by the original"
        )
    return path


def locate(card: ModelCard) -> Path | None:
    """Find the file without the network: model folders, then the package, then the cache.

    The first file of that name decides: if it is not the right one, that is an error.

    Raises WeightsMismatchError, ConfigError.
    """
    for folder in (*model_folders(), DATA, cache_folder()):
        path = folder / card.file
        if path.is_file():
            return verify(card, path)
    return None


def find_weights(card: ModelCard, *, fetch: bool = True) -> Path:
    """Return a verified file of the net's weights, fetched into the cache if need be.

    Raises WeightsMismatchError for a wrong file anywhere on the way; WeightsMissingError if it is
    nowhere and cannot be fetched, within FETCH_TIMEOUT_S.
    """
    path = locate(card)
    if path is not None:
        return path
    if not fetch:
        raise _missing(card, "fetching is off")
    return _fetch(card)


def load_session(card: ModelCard, *, device: str = "cpu", threads: int = 1) -> Session:
    """Load a net from wherever its verified weights are; nothing is fetched that is not pinned.

    device: "cpu", "cuda:N" or "auto"; see facefx.models.session.Session.

    Raises ModelError and what find_weights raises.
    """
    from facefx.models.session import Session  # onnxruntime is slow to import, and listing nets needs none

    return Session(find_weights(card), name=card.name, sha256=card.sha256, device=device, threads=threads)


def _missing(card: ModelCard, why: str) -> WeightsMissingError:
    return WeightsMissingError(
        f"weights of net {card.name!r} ({card.file}) are in no folder of FACEFX_MODELS, not in the package "
        f"and not in {cache_folder()}, and {why}; put the file (sha256 {card.sha256}) into a folder that "
        f"FACEFX_MODELS names, or run `facefx models pull {card.name}` where there is a network"
    )


def _fetch(card: ModelCard) -> Path:
    """Fetch into the cache: verified first, then given its name, so that no half file is ever seen."""
    if not card.source_url.startswith(("https://", "http://")):
        raise _missing(card, "the catalog knows no address to fetch it from")
    data = _download_bounded(card)
    got = hashlib.sha256(data).hexdigest()
    if got != card.sha256:
        raise WeightsMismatchError(
            f"{card.source_url}: weights of net {card.name!r} have the wrong sha256: expected {card.sha256}, "
            f"got {got} ({len(data)} bytes of {card.bytes}); nothing was kept; try again or supply the file"
        )
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / card.file
        _publish(path, data)
    except OSError as error:
        raise ModelError(
            f"{folder}: fetched weights cannot be kept: {error.strerror or error}; "
            "set FACEFX_CACHE to a writable folder"
        ) from error
    _log.info("weights fetched", extra={"net": card.name, "url": card.source_url, "path": str(path)})
    return path


def _publish(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _download_bounded(card: ModelCard) -> bytes:
    """Download within FETCH_TIMEOUT_S.

    A socket time-out bounds neither a name look-up nor a server that drips; a thread that is left
    behind does. It is a daemon, so it cannot keep the process either.
    """
    result: list[bytes | WeightsMissingError] = []
    worker = threading.Thread(target=lambda: result.append(_download(card)), name="facefx-fetch", daemon=True)
    worker.start()
    worker.join(FETCH_TIMEOUT_S)
    if not result:
        raise _missing(card, f"{card.source_url} did not answer within {FETCH_TIMEOUT_S:g} s")
    if isinstance(result[0], WeightsMissingError):
        raise result[0]
    return result[0]


def _download(card: ModelCard) -> bytes | WeightsMissingError:
    try:
        with urllib.request.urlopen(card.source_url, timeout=SOCKET_TIMEOUT_S) as reply:
            # One byte more than promised tells a longer file; the sum then differs and it is refused.
            return bytes(reply.read(card.bytes + 1))
    except (OSError, urllib.error.URLError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return _missing(card, f"{card.source_url} cannot be fetched ({reason})")
