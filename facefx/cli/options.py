"""The options that several commands share, each said once, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from facefx.config import parse_time

__all__ = [
    "Audio",
    "Codec",
    "Config",
    "Crf",
    "DetectorName",
    "Device",
    "Effects",
    "EncoderThreads",
    "End",
    "ExtraVideo",
    "LandmarkerName",
    "Lossless",
    "Metadata",
    "OnDamage",
    "Output",
    "Preset",
    "Report",
    "Seed",
    "Select",
    "Source",
    "Start",
    "Threads",
    "Trace",
    "carrying",
    "changing",
    "encoding",
    "excerpt",
    "looking",
]

Source = Annotated[str, typer.Argument(metavar="IN", help="Video to read: a path or a URL.")]
Output = Annotated[
    str, typer.Argument(metavar="OUT", help="Video to write; its suffix chooses the container.")
]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings; options given here win over it.")
]
Effects = Annotated[
    list[str] | None,
    typer.Option(
        "--effect",
        "-e",
        metavar="NAME[:P=V,…]",
        help="Effect to apply, or @PRESET; repeat for a chain. [default: solid]",
    ),
]

Select = Annotated[
    str | None,
    typer.Option(
        "--select",
        metavar="WHO",
        help="Whose faces: all, largest[:N], leftmost[:N], rightmost[:N], track:N[/N…], area:x0/y0/x1/y1 in "
        "parts of the picture; joined by +; not: in front for everyone else. An effect's own who=WHO wins.",
        show_default="all",
    ),
]

DetectorName = Annotated[
    str | None,
    typer.Option("--detector", help="auto, yunet, blazeface or blazeface-short.", show_default="auto"),
]
LandmarkerName = Annotated[
    str | None,
    typer.Option(
        "--landmarker",
        help="Mesh for effects that need one: auto, facemesh-468 or facemesh-478.",
        show_default="auto",
    ),
]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda:N or auto.", show_default="cpu")]

Codec = Annotated[
    str | None,
    typer.Option("--codec", help="auto (as the source), libx264, libx265, libsvtav1, libvpx-vp9, prores_ks."),
]
Crf = Annotated[float | None, typer.Option("--crf", help="Constant quality; smaller is better and larger.")]
Preset = Annotated[str | None, typer.Option("--preset", help="The encoder's speed preset.")]
EncoderThreads = Annotated[
    int | None,
    typer.Option("--encoder-threads", help="Threads of the encoder; part of the plan.", show_default="1"),
]
Lossless = Annotated[bool, typer.Option("--lossless", help="Keep every sample exactly.")]

Audio = Annotated[str | None, typer.Option("--audio", help="keep or drop.", show_default="keep")]
Metadata = Annotated[str | None, typer.Option("--metadata", help="keep or strip.", show_default="keep")]
ExtraVideo = Annotated[
    str | None,
    typer.Option("--extra-video", help="A second video stream: refuse or drop.", show_default="refuse"),
]
OnDamage = Annotated[
    str | None,
    typer.Option("--on-damage", help="A damaged file: fail or keep (what is readable).", show_default="fail"),
]

Threads = Annotated[
    int | None,
    typer.Option("--threads", help="Work threads, 1 to 3; never changes the bytes.", show_default="2"),
]
Start = Annotated[str | None, typer.Option("--from", metavar="T", help="Start of an excerpt.")]
End = Annotated[str | None, typer.Option("--to", metavar="T", help="End of an excerpt.")]
Seed = Annotated[str | None, typer.Option("--seed", help="Secret for seeded noise.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write what was done, as JSON.")
]
Trace = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="Write where each millisecond went, as Chrome trace events; facefx trace draws it.",
    ),
]


def changing(effect: list[str] | None, select: str | None) -> dict[str, Any]:
    """Settings of what is done to whom; None means not given, here and below."""
    return {"effects": tuple(effect) if effect else None, "select": select}


def looking(detector: str | None, landmarker: str | None, device: str | None) -> dict[str, Any]:
    """Settings of how faces are found."""
    return {"detector": detector, "landmarker": landmarker, "device": device}


def encoding(
    codec: str | None, crf: float | None, preset: str | None, encoder_threads: int | None, lossless: bool
) -> dict[str, Any]:
    """Settings of the encoder."""
    return {
        "encode": {
            "codec": codec,
            "crf": crf,
            "preset": preset,
            "threads": encoder_threads,
            "lossless": lossless or None,
        }
    }


def carrying(audio: str | None, metadata: str | None, extra_video: str | None) -> dict[str, Any]:
    """Settings of what else of the file is carried over."""
    return {"audio": audio, "metadata": metadata, "extra_video": extra_video}


def excerpt(start: str | None, end: str | None) -> dict[str, Any]:
    """Settings of the part that is wanted.

    Raises ConfigError for what is no time.
    """
    return {"from_s": parse_time(start) if start else None, "to_s": parse_time(end) if end else None}
