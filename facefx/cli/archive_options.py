"""The options of `facefx archive`, each said once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from facefx.storage import StorageOptions

__all__ = [
    "Address",
    "Container",
    "Endpoint",
    "KmsKey",
    "Lanes",
    "Placement",
    "Profile",
    "RunnerKind",
    "Scratch",
    "SegmentS",
    "Sources",
    "Sse",
    "Target",
    "Template",
    "Workers",
    "storage_options",
]

Sources = Annotated[
    str,
    typer.Argument(
        metavar="SRC", help="Folder, glob, @file with a list, or URL (s3://…) of the videos; quote a glob."
    ),
]
Target = Annotated[str, typer.Argument(metavar="DST", help="Folder or URL of the results.")]
RunnerKind = Annotated[
    str, typer.Option("--runner", help="ray (many workers) or inline (this process, no cluster).")
]
Placement = Annotated[
    str,
    typer.Option(
        "--placement",
        metavar="P",
        help="How one video's stages lie on actors: lane (one), split (three), stages (five), your own such "
        "as 'decode|detect,landmark,blend|encode', or auto. Never changes the bytes.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Lanes at work at once; never changes the bytes.", show_default="auto"),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="The Ray cluster: auto or HOST:PORT; without it (and without RAY_ADDRESS) one is started here.",
    ),
]
SegmentS = Annotated[
    float | None,
    typer.Option(
        "--segment-s",
        help="Shortest segment that a worker takes, cut at keyframes; 0 for whole videos.",
        show_default="20",
    ),
]
Template = Annotated[
    str, typer.Option("--template", help="Names of results from {dir} {parent} {name} {stem} {ext}.")
]
Container = Annotated[
    str | None, typer.Option("--container", help="Container of all results, such as mp4 or mkv.")
]
Scratch = Annotated[
    Path | None, typer.Option("--scratch", help="Workers' folder for what passes through their hands.")
]
Endpoint = Annotated[
    str | None, typer.Option("--s3-endpoint", metavar="URL", help="An S3 service other than Amazon's.")
]
Profile = Annotated[str | None, typer.Option("--s3-profile", help="Profile of the AWS configuration.")]
Sse = Annotated[
    str | None, typer.Option("--s3-sse", help="Encryption of uploads at rest: AES256 or aws:kms.")
]
KmsKey = Annotated[str | None, typer.Option("--s3-kms-key", help="Key for --s3-sse aws:kms.")]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Who does the work; each field as the option of that name."""

    runner: str
    placement: str
    workers: int | None
    address: str | None
    scratch: Path | None


def storage_options(
    endpoint: str | None, profile: str | None, sse: str | None, kms_key: str | None
) -> StorageOptions:
    """How remote storage is reached.

    Raises ConfigError.
    """
    from facefx.storage import StorageOptions

    return StorageOptions(endpoint_url=endpoint, profile=profile, sse=sse, sse_kms_key_id=kms_key)  # type: ignore[arg-type]
