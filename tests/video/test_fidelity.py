"""Each clause of the contract is shown a good pair, and the same pair with just its property spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from av.packet import Packet
from fidelity_clips import X265_HDR, AnyPacket, Clip, Edit, Sound, write

from facefx.errors import FidelityError
from facefx.video.fidelity import Contract, FidelityReport, verify


def hdr_options(light: str, peak: int) -> dict[str, str]:
    return {"x265-params": "log-level=none:pools=none:" + X265_HDR.format(light=light, peak=peak)}


PLAIN = Clip()
STEADY = Clip(options={"bf": "0"})  # pictures are stored in the order in which they are shown
VFR = Clip(pts=(0, 512, 1024, 3000, 3333, 5120, 7777, 8000))
RICH = Clip(
    sounds=(Sound(1, "eng", frames=20), Sound(2, "fra", frames=20, disposition=0)),
    subtitles=((100, "hello"), (300, "world")),
    chapters=((0, "one"), (250, "two")),
    tags={"title": "Wedding", "comment": "by the lake"},
)
TURNED = Clip(rotation=90)
WIDE = Clip(aspect=Fraction(64, 45))
INTERLACED = Clip(options={"x264-params": "tff=1"})
HDR = Clip(
    codec="libx265",
    pixels="yuv420p10le",
    color=(1, 9, 9, 16),
    options=hdr_options("1000,400", 10000000),
)
FORCED = replace(RICH.sounds[0], disposition=64)
NAMED = Clip(sounds=(Sound(title="Commentary"),))


def broken(report: FidelityReport) -> set[str]:
    return {clause.name for clause in report.broken}


def pair(
    folder: Path, good: Clip, other: Clip, suffix: str = ".mp4", edit: Edit | None = None
) -> tuple[Path, Path]:
    """A source, and an output with other pictures (as if faces had changed)."""
    source = write(folder / f"source{suffix}", good)
    return source, write(folder / f"output{suffix}", replace(other, picture_seed=9), edit)


GOOD = {
    "plain": (PLAIN, ".mp4"),
    "plain mkv": (PLAIN, ".mkv"),
    "plain ts": (PLAIN, ".ts"),
    "vfr": (VFR, ".mp4"),
    "vfr mkv": (VFR, ".mkv"),
    "rich": (RICH, ".mp4"),
    "rich mkv": (RICH, ".mkv"),
    "turned": (TURNED, ".mp4"),
    "turned mkv": (TURNED, ".mkv"),
    "mirrored": (replace(TURNED, hflip=True), ".mp4"),
    "wide": (WIDE, ".mkv"),
    "interlaced": (INTERLACED, ".mp4"),
    "hdr": (HDR, ".mp4"),
    "hdr mkv": (HDR, ".mkv"),
    "full range": (replace(PLAIN, pixels="yuvj420p", color=(2, 1, 1, 1)), ".mp4"),
}


@pytest.mark.parametrize(("clip", "suffix"), GOOD.values(), ids=GOOD)
def test_a_faithful_output_passes(tmp_path: Path, clip: Clip, suffix: str) -> None:
    source, output = pair(tmp_path, clip, clip, suffix)
    report = verify(source, output, decode="full")
    assert report.ok, report.broken
    report.raise_if_broken()


def on(kind: str, number: int, at: int, change: Callable[[AnyPacket], AnyPacket | None]) -> Edit:
    """An edit of one packet, all others untouched."""

    def edit(its_kind: str, its_number: int, its_at: int, packet: AnyPacket) -> AnyPacket | None:
        same = (its_kind, its_number, its_at) == (kind, number, at)
        return change(packet) if same else packet

    return edit


def flipped(packet: AnyPacket) -> AnyPacket:
    """The same packet with one bit of its payload changed."""
    raw = bytearray(bytes(packet))
    raw[len(raw) // 2] ^= 1
    spoiled: AnyPacket = Packet(bytes(raw))
    spoiled.stream = packet.stream
    spoiled.pts, spoiled.dts, spoiled.time_base = packet.pts, packet.dts, packet.time_base
    spoiled.duration, spoiled.is_keyframe = packet.duration, packet.is_keyframe
    return spoiled


def later(ticks: int) -> Callable[[AnyPacket], AnyPacket]:
    def change(packet: AnyPacket) -> AnyPacket:
        assert packet.pts is not None
        assert packet.dts is not None
        packet.pts += ticks
        packet.dts += ticks
        return packet

    return change


def without(values: tuple[int, ...] | list[int], at: int) -> tuple[int, ...]:
    return (*values[:at], *values[at + 1 :])


def moved(values: tuple[int, ...], at: int, by: int) -> tuple[int, ...]:
    return (*values[:at], values[at] + by, *values[at + 1 :])


def with_texts(*texts: tuple[int, str]) -> Clip:
    return replace(RICH, subtitles=texts)


PTS = tuple(PLAIN.pts)
SPOILED: dict[str, tuple[str, Clip, Clip, str]] = {
    "a picture in the middle is missing": ("frames", PLAIN, replace(PLAIN, pts=without(PTS, 7)), ".mp4"),
    "the first picture is missing": ("frames duration sync", PLAIN, replace(PLAIN, pts=PTS[1:]), ".mp4"),
    "the last picture is missing": ("frames duration", PLAIN, replace(PLAIN, pts=PTS[:-1]), ".mp4"),
    "a picture too many": ("frames pts", PLAIN, replace(PLAIN, pts=(*PTS[:3], 1300, *PTS[3:])), ".mp4"),
    "one picture a tick late": ("pts", PLAIN, replace(PLAIN, pts=moved(PTS, 5, 1)), ".mp4"),
    "one picture a tick early": ("pts", PLAIN, replace(PLAIN, pts=moved(PTS, 5, -1)), ".mp4"),
    "one picture a tick late in mkv": ("pts", PLAIN, replace(PLAIN, pts=moved(PTS, 5, 13)), ".mkv"),
    "vfr made even": ("pts", VFR, replace(VFR, pts=(0, 1143, 2286, 3429, 4572, 5715, 6858, 8000)), ".mp4"),
    "the last picture stays longer": ("duration", STEADY, replace(STEADY, last_duration=900), ".mp4"),
    "another codec": ("codec", PLAIN, replace(PLAIN, codec="libx265"), ".mp4"),
    "sound 20 ms late": ("sync", PLAIN, replace(PLAIN, sounds=(Sound(delay=960),)), ".mp4"),
    "sound 20 ms late in mkv": ("sync", PLAIN, replace(PLAIN, sounds=(Sound(delay=960),)), ".mkv"),
    "sound 20 ms late in ts": ("sync", PLAIN, replace(PLAIN, sounds=(Sound(delay=960),)), ".ts"),
    "second track 2 ms late": (
        "sync", RICH, replace(RICH, sounds=(RICH.sounds[0], replace(RICH.sounds[1], delay=96))), ".mkv"),
    "second track lost": ("audio", RICH, replace(RICH, sounds=RICH.sounds[:1]), ".mp4"),
    "tracks swapped": ("audio languages", RICH, replace(RICH, sounds=RICH.sounds[::-1]), ".mkv"),
    "sound cut short": ("audio", PLAIN, replace(PLAIN, sounds=(Sound(frames=29),)), ".mp4"),
    "language lost": ("languages", PLAIN, replace(PLAIN, sounds=(Sound(language="und"),)), ".mp4"),
    "default track lost": ("languages", RICH, replace(RICH, sounds=(FORCED, RICH.sounds[1])), ".mkv"),
    "subtitle lost": ("subtitles", RICH, replace(RICH, subtitles=RICH.subtitles[:1]), ".mp4"),
    "subtitle reworded": ("subtitles", RICH, with_texts((100, "hallo"), (300, "world")), ".mkv"),
    "second subtitle moved": ("subtitles", RICH, with_texts((100, "hello"), (320, "world")), ".mkv"),
    "subtitles moved": ("sync", RICH, with_texts((120, "hello"), (320, "world")), ".mkv"),
    "subtitles lost": ("subtitles", RICH, replace(RICH, subtitles=()), ".mp4"),
    "subtitle language": ("languages", RICH, replace(RICH, subtitle_language="deu"), ".mp4"),
    "rotation lost": ("rotation", TURNED, PLAIN, ".mp4"),
    "rotation lost in mkv": ("rotation", TURNED, PLAIN, ".mkv"),
    "turned the other way": ("rotation", TURNED, replace(TURNED, rotation=270), ".mp4"),
    "mirroring lost": ("rotation", replace(TURNED, hflip=True), TURNED, ".mp4"),
    "aspect lost": ("aspect", WIDE, PLAIN, ".mp4"),
    "two columns cut off": ("size", PLAIN, replace(PLAIN, size=(62, 48)), ".mp4"),
    "8 bit instead of 10": (
        "pixels", replace(PLAIN, pixels="yuv420p10le"), PLAIN, ".mp4"),
    "4:2:0 instead of 4:2:2": ("pixels", replace(PLAIN, pixels="yuv422p"), PLAIN, ".mp4"),
    "field order lost": ("fields", INTERLACED, PLAIN, ".mp4"),
    "fields swapped": ("fields", INTERLACED, replace(INTERLACED, options={"x264-params": "bff=1"}), ".mp4"),
    "full range called limited": ("color", replace(PLAIN, color=(2, 1, 1, 1)), PLAIN, ".mp4"),
    "limited range called full": ("color", PLAIN, replace(PLAIN, color=(2, 1, 1, 1)), ".mp4"),
    "matrix": ("color", PLAIN, replace(PLAIN, color=(1, 6, 1, 1)), ".mp4"),
    "primaries lost": ("color", PLAIN, replace(PLAIN, color=(1, 1, 2, 1)), ".mp4"),
    "transfer lost": ("color", PLAIN, replace(PLAIN, color=(1, 1, 1, 2)), ".mp4"),
    "PQ lost": ("color", HDR, replace(HDR, color=(1, 9, 9, 2)), ".mp4"),
    "HDR data lost": ("hdr", HDR, replace(HDR, options={}), ".mp4"),
    "another mastering peak": (
        "hdr", HDR, replace(HDR, options=hdr_options("1000,400", 4000000)), ".mp4"),
    "another light level": (
        "hdr", HDR, replace(HDR, options=hdr_options("999,400", 10000000)), ".mkv"),
    "chapter lost": ("chapters", RICH, replace(RICH, chapters=RICH.chapters[:1]), ".mp4"),
    "chapters lost": ("chapters", RICH, replace(RICH, chapters=()), ".mkv"),
    "chapter moved": ("chapters", RICH, replace(RICH, chapters=((0, "one"), (450, "two"))), ".mkv"),
    "chapter renamed": ("chapters", RICH, replace(RICH, chapters=((0, "one"), (250, "zwei"))), ".mp4"),
    "title lost": ("metadata", RICH, replace(RICH, tags={"comment": "by the lake"}), ".mp4"),
    "name of a track lost": (
        "metadata", NAMED, replace(NAMED, sounds=(Sound(),)), ".mp4"),
    "name of a track lost in mkv": (
        "metadata", NAMED, replace(NAMED, sounds=(Sound(),)), ".mkv"),
    "comment changed": ("metadata", RICH, replace(RICH, tags=RICH.tags | {"comment": "ours"}), ".mkv"),
    "cover left": ("pictures", PLAIN, replace(PLAIN, cover=True), ".mp4"),
    "second video left": ("pictures", PLAIN, replace(PLAIN, second_video=True), ".mp4"),
    "picture attached": ("pictures", PLAIN, replace(PLAIN, attachment="image/jpeg"), ".mkv"),
}  # fmt: skip


@pytest.mark.parametrize(("clauses", "good", "bad", "suffix"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_property_breaks_its_clause_and_no_other(
    tmp_path: Path, clauses: str, good: Clip, bad: Clip, suffix: str
) -> None:
    source, output = pair(tmp_path, good, bad, suffix)
    contract = Contract(codec="hevc" if good.codec == "libx265" else "h264")
    report = verify(source, output, contract)
    assert broken(report) == set(clauses.split()), report.broken
    with pytest.raises(FidelityError, match=clauses.split()[0]):
        report.raise_if_broken()


EDITED: dict[str, tuple[str, Edit]] = {
    "one bit of one sound packet": ("audio", on("audio", 1, 9, flipped)),
    "one sound packet lost": ("audio", on("audio", 0, 9, lambda packet: None)),
    "one sound packet late": ("audio", on("audio", 0, 9, later(300))),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(("clauses", "edit"), EDITED.values(), ids=EDITED)
def test_one_spoiled_packet_is_seen(tmp_path: Path, clauses: str, edit: Edit, suffix: str) -> None:
    clip = replace(PLAIN, sounds=RICH.sounds)
    source, output = pair(tmp_path, clip, clip, suffix, edit)
    assert broken(verify(source, output)) == set(clauses.split())
