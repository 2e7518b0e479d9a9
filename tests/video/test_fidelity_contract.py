"""What was asked changes what is expected: dropped sound, stripped tags, excerpts, damaged sources."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.packet import Packet
from fidelity_clips import STEP, AnyPacket, Clip, Sound, copy_streams, remux, write

from facefx.errors import ConfigError, FidelityError, SourceError
from facefx.video.fidelity import Contract, FidelityReport, verify
from facefx.video.fidelity_tags import CARRIED_TAGS
from facefx.video.metadata import KEPT_FILE_TAGS

LONG = Clip(
    pts=tuple(range(0, 50 * STEP, STEP)),
    options={"g": "10"},
    sounds=(Sound(1, "eng", frames=94), Sound(2, "fra", frames=94, disposition=0)),
)
TAGGED = Clip(
    tags={"title": "Wedding", "comment": "by the lake", "location": "+48.85+002.35/"},
    sounds=(Sound(title="Grandma speaks"),),
)


def broken(report: FidelityReport) -> set[str]:
    return {clause.name for clause in report.broken}


def test_dropped_sound_is_no_breach_and_kept_sound_is(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", LONG)
    silent = write(tmp_path / "out.mkv", replace(LONG, sounds=()))
    assert verify(source, silent, Contract(audio="drop")).ok
    assert broken(verify(source, silent)) == {"audio"}
    assert broken(verify(source, source, Contract(audio="drop"))) == {"audio"}


def test_a_stream_that_was_to_be_removed_must_be_gone(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", LONG)
    one = write(tmp_path / "out.mkv", replace(LONG, sounds=LONG.sounds[:1]))
    assert verify(source, one, Contract(removed=frozenset({2}))).ok
    assert broken(verify(source, source, Contract(removed=frozenset({2})))) == {"audio"}


LEFT = {
    "title": ({"title": "Wedding"}, {}, ".mp4"),
    "comment": ({"comment": "by the lake"}, {}, ".mkv"),
    "place": ({"location": "+48.85+002.35/"}, {}, ".mp4"),
    "place of an iPhone": ({"com.apple.quicktime.location.ISO6709": "+48.85+002.35/"}, {}, ".mkv"),
    "time": ({"creation_time": "2026-01-02T03:04:05Z"}, {}, ".mp4"),
    "device": ({"model": "HandyCam 3"}, {}, ".mkv"),
    "device as encoder": ({}, {"encoder": "HandyCam 3"}, ".mkv"),
    "device as handler": ({}, {"handler_name": "HandyCam 3 AVC"}, ".mp4"),
    "comment of a stream": ({}, {"comment": "filmed by Ann"}, ".mkv"),
}


@pytest.mark.parametrize(("tags", "video_tags", "suffix"), LEFT.values(), ids=LEFT)
def test_strip_leaves_nothing_personal(
    tmp_path: Path, tags: dict[str, str], video_tags: dict[str, str], suffix: str
) -> None:
    contract = Contract(metadata="strip")
    source = write(tmp_path / f"in{suffix}", TAGGED)
    plain = replace(TAGGED, tags={}, sounds=(Sound(),))
    clean = write(tmp_path / f"clean{suffix}", plain)
    assert verify(source, clean, contract).ok
    left = write(tmp_path / f"left{suffix}", replace(plain, tags=tags, video_tags=video_tags))
    assert broken(verify(source, left, contract)) == {"metadata"}


def test_strip_finds_the_title_of_a_sound_track(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        source = write(tmp_path / f"in{suffix}", TAGGED)
        left = write(tmp_path / f"out{suffix}", replace(TAGGED, tags={}))
        assert broken(verify(source, left, Contract(metadata="strip"))) == {"metadata"}


def test_no_tag_is_demanded_that_the_sink_never_carries() -> None:
    assert CARRIED_TAGS <= KEPT_FILE_TAGS
    assert not CARRIED_TAGS & {"location", "make", "model", "encoder"}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_truncated_output_is_seen_without_decoding(tmp_path: Path, suffix: str) -> None:
    source = write(
        tmp_path / f"in{suffix}", replace(LONG, muxer={"movflags": "+faststart"} if suffix == ".mp4" else {})
    )
    whole = source.read_bytes()
    cut = tmp_path / f"out{suffix}"
    for part in (0.6, 0.9, 0.99):
        cut.write_bytes(whole[: int(len(whole) * part)])
        found = broken(verify(source, cut))
        assert found & {"frames", "audio"}, part
        assert suffix != ".mp4" or "complete" in found, part


def test_an_output_that_is_no_video_is_a_breach_and_a_missing_one_bad_input(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", Clip())
    (tmp_path / "out.mp4").write_bytes(b"not a video at all" * 100)
    report = verify(source, tmp_path / "out.mp4")
    assert broken(report) == {"readable"}
    with pytest.raises(SourceError, match="no such file"):
        verify(source, tmp_path / "gone.mp4")
    with pytest.raises(SourceError, match=r"out\.mp4"):
        verify(tmp_path / "out.mp4", source)


def test_pictures_that_the_sink_wrote_and_nobody_finds_are_missed(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", Clip())
    assert verify(source, source, Contract(written=15)).ok
    assert broken(verify(source, source, Contract(written=16))) == {"frames"}


def test_another_pixel_format_is_right_if_it_was_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", Clip())
    output = write(tmp_path / "out.mp4", Clip(pixels="yuv444p"))
    assert broken(verify(source, output)) == {"pixels"}
    assert verify(source, output, Contract(pixels="yuv444p")).ok


def excerpt(source: Path, target: Path, low: int, high: int, sound: tuple[int, int]) -> Path:
    """Pictures low to high − 1, packets sound[0] to sound[1] − 1 of the sound; whole groups only."""
    start = Fraction(low * STEP, 12800)
    with av.open(str(source)) as into, av.open(str(target), "w") as out:
        copies = copy_streams(into, out)
        seen: dict[int, int] = {}
        for packet in into.demux():
            if packet.dts is None or packet.pts is None:
                continue
            at = seen[packet.stream_index] = seen.get(packet.stream_index, -1) + 1
            wanted = range(low, high) if packet.stream.type == "video" else range(*sound)
            if at in wanted:
                packet.stream = copies[packet.stream_index]
                packet.pts -= int(start / packet.time_base)
                packet.dts -= int(start / packet.time_base)
                out.mux(packet)
    return target


def test_an_excerpt_is_held_against_its_part_of_the_source(tmp_path: Path) -> None:
    clip = replace(LONG, options={"g": "10", "bf": "0"}, sounds=LONG.sounds[:1])
    source = write(tmp_path / "in.mkv", clip)
    # Pictures 10 to 29: 0.4 s to 1.2 s, both not exact as floats. Sound packet n begins at (n - 1) * 21.3 ms.
    contract = Contract(from_s=0.4, to_s=1.2)
    whole = verify(source, source, Contract())
    assert whole.ok
    good = excerpt(source, tmp_path / "good.mkv", 10, 30, (20, 57))
    report = verify(source, good, contract)
    assert report.ok, report.broken
    assert broken(verify(source, good)) >= {"frames", "audio", "duration"}
    late = excerpt(source, tmp_path / "late.mkv", 10, 30, (25, 57))
    assert broken(verify(source, late, contract)) == {"audio"}
    too_much = excerpt(source, tmp_path / "much.mkv", 10, 30, (20, 94))
    assert broken(verify(source, too_much, contract)) == {"audio"}
    short = excerpt(source, tmp_path / "short.mkv", 10, 29, (20, 57))
    assert broken(verify(source, short, contract)) == {"frames", "duration"}


def test_an_empty_excerpt_is_refused() -> None:
    with pytest.raises(ConfigError, match="after from_s"):
        Contract(from_s=3, to_s=2)


def keep_some(source: Path, target: Path, count: int) -> Path:
    """The first pictures of a file, as a run leaves them that could read no more."""
    with av.open(str(source)) as into, av.open(str(target), "w") as out:
        copies = copy_streams(into, out)
        times = sorted(p.pts for p in into.demux(video=0) if p.pts is not None and p.size)[:count]
        into.seek(0)
        for packet in into.demux():
            video = packet.stream.type == "video"
            if packet.dts is None or packet.is_corrupt or (video and packet.pts not in times):
                continue
            packet.stream = copies[packet.stream_index]
            out.mux(packet)
    return target


def test_a_cut_source_asks_for_what_its_index_promises_unless_damage_is_kept(
    media: Path, tmp_path: Path
) -> None:
    source = media / "formats" / "truncated_faststart.mp4"
    output = keep_some(source, tmp_path / "out.mp4", 90)
    report = verify(source, output)
    assert "frames" in broken(report)
    assert {one.name: one.expected for one in report.broken}["frames"] == "180"
    assert verify(source, output, Contract(on_damage="keep", readable=90)).ok
    assert broken(verify(source, output, Contract(on_damage="keep", readable=91))) == {"frames"}
    assert verify(source, output, Contract(on_damage="keep")).ok  # counts by decoding


def spoil_pictures(source: Path, target: Path) -> Path:
    """A copy of which some video packets are noise, with every header as it was."""
    with av.open(str(source)) as into, av.open(str(target), "w") as out:
        copies = copy_streams(into, out)
        for at, packet in enumerate(into.demux()):
            if packet.dts is None:
                continue
            raw = bytearray(bytes(packet))
            if packet.stream.type == "video" and at % 3 == 2:
                raw[8:] = bytes((7 * i + 1) & 255 for i in range(len(raw) - 8))
            copy: AnyPacket = Packet(bytes(raw))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.duration, copy.is_keyframe = packet.duration, packet.is_keyframe
            copy.stream = copies[packet.stream_index]
            out.mux(copy)
    return target


def test_noise_in_the_picture_is_seen_by_decoding_only(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", replace(LONG, sounds=()))
    output = spoil_pictures(source, tmp_path / "out.mp4")
    assert verify(source, output, decode="none").ok
    assert broken(verify(source, output, decode="sample")) == {"decodes"}
    assert broken(verify(source, output, decode="full")) == {"decodes"}
    assert verify(source, source, decode="sample").ok


def test_the_report_names_clause_expected_and_got_and_is_json(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", Clip(rotation=90))
    output = write(tmp_path / "out.mp4", Clip())
    report = verify(source, output)
    with pytest.raises(FidelityError) as caught:
        report.raise_if_broken()
    assert "rotation: expected turned 90°, got turned 0°" in str(caught.value)
    assert "\n" not in str(caught.value)
    facts = json.loads(json.dumps(report.to_json()))
    assert facts["ok"] is False
    assert [one["name"] for one in facts["clauses"] if not one["ok"]] == ["rotation"]


def test_a_data_stream_left_in_the_output_is_seen(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ts", Clip())
    left = tmp_path / "out.ts"
    with av.open(str(source)) as into, av.open(str(left), "w") as out:
        copies = copy_streams(into, out)
        data = out.add_data_stream("klv")
        for packet in into.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
        place: AnyPacket = Packet(b"48.85 N 2.35 E" * 4)
        place.stream, place.pts, place.dts, place.time_base = data, 0, 0, Fraction(1, 90000)
        out.mux(place)
    assert broken(verify(source, left)) == {"pictures"}


def test_pictures_that_no_decoder_can_show_are_not_missed(tmp_path: Path) -> None:
    """A recording that starts midway: packets before its first keyframe are no pictures."""
    whole = write(tmp_path / "whole.ts", replace(LONG, options={"g": "10", "bf": "0"}, sounds=()))

    def tail(name: str, first: int) -> Path:
        with av.open(str(whole)) as into, av.open(str(tmp_path / name), "w") as out:
            copies = copy_streams(into, out)
            for at, packet in enumerate(into.demux()):
                if packet.dts is not None and at >= first:
                    packet.stream = copies[packet.stream_index]
                    out.mux(packet)
        return tmp_path / name

    midway, clean = tail("midway.ts", 4), tail("clean.ts", 10)
    report = verify(midway, clean)
    assert report.ok, report.broken
    assert {one.name: one.got for one in report.clauses}["frames"] == "40"
    assert broken(verify(midway, tail("less.ts", 20))) >= {"frames", "duration"}


HELD = {
    ".mp4": {"h264", "hevc", "av1", "vp9", "aac", "opus", "mp2"},
    ".ts": {"h264", "hevc", "mpeg2video", "aac", "mp2"},
}
BROKEN = ("audio_only", "bitflips", "garbage", "text_named", "truncated", "zero_byte")


def targets(path: Path) -> list[str]:
    """Containers that hold everything in this file."""
    with av.open(str(path)) as container:
        codecs = {stream.codec_context.codec.canonical_name for stream in container.streams}
        turned = any(stream.codec_context.codec.canonical_name == "prores" for stream in container.streams)
    suffixes = {path.suffix, ".mkv"}
    suffixes |= {suffix for suffix, held in HELD.items() if codecs <= held and not turned}
    if path.stem.startswith("rotated"):
        suffixes.discard(".ts")  # has no place for a rotation
    return sorted(suffixes)


def test_a_copy_of_every_good_file_passes_in_every_container_that_holds_it(
    media: Path, tmp_path: Path
) -> None:
    checked = 0
    for source in sorted((media / "formats").iterdir()):
        if source.stem.startswith(BROKEN) or source.stem.startswith("bench"):
            continue
        for suffix in targets(source):
            output = remux(source, tmp_path / f"{source.stem}{suffix}")
            report = verify(source, output)
            assert report.ok, (source.name, suffix, report.broken)
            output.unlink()
            checked += 1
    assert checked > 50
