"""Everything beside the picture: copied to the packet, or left out with a reason, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av.stream import Disposition
from video_makers import BASE, data_packet, make_video, pictures, sounds, still, transcode

from facefx.errors import UnsupportedError
from facefx.video.metadata import choose_file_tags, choose_stream_tags
from facefx.video.passthrough import _Lane
from facefx.video.probe import probe
from facefx.video.sink import VideoSink
from facefx.video.timeline import Timeline

MS = Fraction(1, 1000)


class _Beside:
    """Adds streams before the header and their packets with the first frame."""

    def __init__(self, *adders: Callable[[Any], list[Any]]) -> None:
        self.adders, self.packets = adders, list[Any]()

    def before(self, output: Any, video: Any) -> None:
        for add in self.adders:
            self.packets += add(output)

    def during(self, output: Any, video: Any, number: int) -> None:
        if number == 0:
            for packet in self.packets:
                output.mux(packet)

    def make(self, path: Path, **options: Any) -> Path:
        return make_video(path, before=self.before, during=self.during, **options)


def _subtitles(codec: str) -> Callable[[Any], list[Any]]:
    def add(output: Any) -> list[Any]:
        stream = output.add_mux_stream(codec)
        stream.time_base = MS
        stream.metadata.update({"language": "fra", "title": "Paroles"})
        stream.disposition = Disposition.forced
        lines = [(b"Bonjour", 100, 200), (b"Au revoir", 350, 100)]
        if codec == "mov_text":
            lines = [(len(text).to_bytes(2, "big") + text, at, length) for text, at, length in lines]
        return [data_packet(stream, text, at, MS, length) for text, at, length in lines]

    return add


def _attachments(output: Any) -> list[Any]:
    output.add_attachment("a.ttf", "font/ttf", b"\0\1\0\0a font")
    output.add_attachment("b.bin", "application/octet-stream", b"\xff\xd8 perhaps a picture")
    return []


def _picture(disposition: Disposition | None) -> Callable[[Any], list[Any]]:
    def add(output: Any) -> list[Any]:
        stream = output.add_mux_stream("mjpeg", rate=25, width=32, height=32)
        stream.time_base = BASE
        if disposition:
            stream.disposition = disposition
        return [data_packet(stream, still("mjpeg"), 0, BASE)]

    return add


def test_subtitles_are_copied_with_language_title_and_flags(tmp_path: Path) -> None:
    source = _Beside(_subtitles("subrip")).make(tmp_path / "in.mkv")
    transcode(source, tmp_path / "out.mkv")
    before, after = probe(source).of_kind("subtitle")[0], probe(tmp_path / "out.mkv").of_kind("subtitle")[0]
    assert (after.codec, after.language, after.title) == ("subrip", "fra", "Paroles")
    assert "forced" in after.disposition
    assert after.disposition == before.disposition
    assert sounds(source, "subtitle") == sounds(tmp_path / "out.mkv", "subtitle")
    assert [text for _, text in sounds(source, "subtitle")[0]] == [b"Bonjour", b"Au revoir"]


def test_subtitles_that_a_container_cannot_hold_are_refused_by_name(tmp_path: Path) -> None:
    source = _Beside(_subtitles("subrip")).make(tmp_path / "in.mkv")
    with pytest.raises(UnsupportedError, match=r"\.mp4 cannot hold subtitle of codec subrip; write \.mkv"):
        transcode(source, tmp_path / "out.mp4")
    report = transcode(source, tmp_path / "out.mp4", subtitles="drop")
    assert [(extra.kind, extra.reason) for extra in report.removed] == [
        ("subtitle", "subtitle dropped as asked")
    ]


def test_sound_that_a_container_cannot_hold_is_refused_by_name(media: Path, tmp_path: Path) -> None:
    source = media / "formats" / "audio_shorter_640x360.mp4"
    with pytest.raises(UnsupportedError, match=r"\.webm cannot hold audio of codec aac; write \.mkv"):
        VideoSink(tmp_path / "out.webm", probe(source))
    assert not list(tmp_path.iterdir())
    assert transcode(source, tmp_path / "out.webm", audio="drop", to_s=0.1).removed[0].kind == "audio"


def test_excerpt_cuts_sound_and_subtitles_to_the_pictures(media: Path, tmp_path: Path) -> None:
    source = media / "formats" / "two_audio_640x360.mkv"
    transcode(source, tmp_path / "out.mkv", from_s=1.0, to_s=2.0)
    times, _ = pictures(source, from_s=1.0, to_s=2.0)
    for whole, cut in zip(sounds(source), sounds(tmp_path / "out.mkv"), strict=True):
        wanted = [(time, data) for time, data in whole if 1 <= time < 2]
        assert [data for _, data in cut] == [data for _, data in wanted]
        lag, expected = cut[0][0] - pictures(tmp_path / "out.mkv")[0][0], wanted[0][0] - times[0]
        assert abs(lag - expected) <= MS


def test_subtitle_that_began_before_the_excerpt_is_shown_from_its_start(tmp_path: Path) -> None:
    source = _Beside(_subtitles("subrip")).make(tmp_path / "in.mkv")
    transcode(source, tmp_path / "out.mkv", from_s=0.2, to_s=0.36)
    found = sounds(tmp_path / "out.mkv", "subtitle")[0]
    assert [(float(time), data) for time, data in found] == [(0.0, b"Bonjour"), (0.15, b"Au revoir")]
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [packet.duration for packet in container.demux(subtitles=0) if packet.size] == [100, 10]


@pytest.mark.parametrize(
    ("name", "target"),
    [("audio_shorter_640x360.mp4", "out.mp4"), ("vfr_640x360.mp4", "out.mp4"), ("vfr_640x360.mp4", "out.mov"),
     ("fragmented_640x360.mp4", "out.mp4"), ("h264_aac_640x360.flv", "out.flv"),
     ("h264_aac_640x360.flv", "out.mp4"), ("start_offset_3600s_640x360.ts", "out.ts")],
)  # fmt: skip
def test_sound_keeps_its_distance_to_the_picture_exactly(
    media: Path, name: str, target: str, tmp_path: Path
) -> None:
    source = media / "formats" / name
    transcode(source, tmp_path / target)
    (before, *_), (after, *_) = sounds(source), sounds(tmp_path / target)
    first, found = pictures(source)[0][0], pictures(tmp_path / target)[0][0]
    assert len(before) == len(after)
    tick = max(probe(tmp_path / target).streams[1].time_base, probe(source).streams[1].time_base)
    slack = tick / 2 if Path(name).suffix != Path(target).suffix else 0
    for (time, _), (copied, _) in zip(before, after, strict=True):
        assert abs((time - first) - (copied - found)) <= slack


def test_recording_that_starts_at_an_hour_does_not_begin_with_an_hour_of_nothing(
    media: Path, tmp_path: Path
) -> None:
    source = media / "formats" / "start_offset_3600s_640x360.ts"
    transcode(source, tmp_path / "out.mp4", to_s=0.5)
    transcode(source, tmp_path / "out.ts", to_s=0.5)
    assert probe(tmp_path / "out.mp4").start == 0
    assert probe(tmp_path / "out.ts").start == probe(source).start


def test_cover_art_is_removed_and_listed(tmp_path: Path) -> None:
    source = _Beside(_picture(Disposition.attached_pic)).make(tmp_path / "in.mp4")
    report = transcode(source, tmp_path / "out.mp4")
    assert [(extra.kind, extra.remedy) for extra in report.removed] == [("cover", "removed")]
    assert [stream.kind for stream in probe(tmp_path / "out.mp4").streams] == ["video"]


def test_second_video_is_refused_unless_it_may_be_lost(tmp_path: Path) -> None:
    source = _Beside(_picture(None)).make(tmp_path / "in.mkv")
    with pytest.raises(UnsupportedError, match=r"second video stream .* --extra-video drop"):
        transcode(source, tmp_path / "out.mkv")
    report = transcode(source, tmp_path / "out.mkv", extra_video="drop")
    assert [(extra.kind, extra.remedy) for extra in report.removed] == [("second_video", "removed")]
    assert [stream.kind for stream in probe(tmp_path / "out.mkv").streams] == ["video"]


def test_fonts_stay_and_other_attachments_go(tmp_path: Path) -> None:
    source = _Beside(_subtitles("ass"), _attachments).make(tmp_path / "in.mkv")
    report = transcode(source, tmp_path / "out.mkv")
    assert [extra.kind for extra in report.removed] == ["attachment"]
    with av.open(str(tmp_path / "out.mkv")) as container:
        (font,) = container.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("a.ttf", "font/ttf", b"\0\1\0\0a font")


CHAPTERS = [
    {"id": 1, "start": 0, "end": 200, "time_base": MS, "metadata": {"title": "one"}},
    {"id": 2, "start": 200, "end": 480, "time_base": MS, "metadata": {"title": "two"}},
]


def _chaptered(path: Path) -> Path:
    return make_video(path, before=lambda output, _: output.set_chapters(CHAPTERS))


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.mov"])
def test_chapters_are_carried(target: str, tmp_path: Path) -> None:
    transcode(_chaptered(tmp_path / "in.mkv"), tmp_path / target, metadata="strip")
    found = [(c.start * c.time_base, c.title) for c in probe(tmp_path / target).chapters]
    assert found == [(0, "one"), (Fraction(1, 5), "two")]


def test_chapters_of_an_excerpt_are_cut_to_it(tmp_path: Path) -> None:
    transcode(_chaptered(tmp_path / "in.mkv"), tmp_path / "out.mkv", from_s=0.24, to_s=0.4)
    found = [
        (c.start * c.time_base, c.end * c.time_base, c.title) for c in probe(tmp_path / "out.mkv").chapters
    ]
    assert found == [(Fraction(0), Fraction(4, 25), "two")]


def test_chapter_track_is_not_taken_for_unknown_data(tmp_path: Path) -> None:
    transcode(_chaptered(tmp_path / "in.mkv"), tmp_path / "one.mp4")
    report = transcode(tmp_path / "one.mp4", tmp_path / "two.mp4")
    assert [(extra.kind, extra.remedy) for extra in report.removed] == [("chapter_track", "rewritten")]
    assert [chapter.title for chapter in probe(tmp_path / "two.mp4").chapters] == ["one", "two"]


TAGS = {
    "title": "Holiday",
    "comment": "by the sea",
    "location": "+48.85+002.35/",
    "artist": "Ada",
    "make": "Phone",
}


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_metadata_is_kept_by_a_list_or_stripped(suffix: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", metadata=TAGS)
    kept = transcode(source, tmp_path / f"kept.{suffix}")
    lowered = {key.lower(): value for key, value in probe(tmp_path / f"kept.{suffix}").metadata.items()}
    assert (lowered["title"], lowered["comment"], lowered["artist"]) == ("Holiday", "by the sea", "Ada")
    assert not {"location", "make"} & set(lowered)
    assert {"LOCATION", "MAKE"} <= {name.upper() for name in kept.dropped_tags}
    transcode(source, tmp_path / f"bare.{suffix}", metadata="strip")
    assert "Holiday" not in str(probe(tmp_path / f"bare.{suffix}").to_json())


def test_tags_are_chosen_without_case_and_language() -> None:
    tags = {
        "TITLE": "a",
        "title-eng": "b",
        "com.apple.quicktime.location.ISO6709": "x",
        "encoder": "y",
        "BPS": "1",
    }
    choice = choose_file_tags(tags, "keep")
    assert choice.kept == {"title": "a", "title-eng": "b"}
    assert choice.dropped == ("com.apple.quicktime.location.ISO6709",)
    assert choose_file_tags(tags, "strip").kept == {}
    assert choose_stream_tags({"language": "deu", "handler_name": "Ada's phone"}, "strip").kept == {
        "language": "deu"
    }


def test_timeline_moves_everything_by_one_shift() -> None:
    line = Timeline(Fraction(1, 2), Fraction(1, 2), Fraction(2))
    assert line.move(1000, MS) == 500
    assert line.move(48000, Fraction(1, 48000)) == 24000
    assert [line.wants(t, 100, MS, overlap=False) for t in (450, 500, 1999, 2000)] == [
        False,
        True,
        True,
        False,
    ]
    assert line.wants(450, 100, MS, overlap=True)
    assert Timeline().move(7, MS) == 7


@pytest.mark.parametrize(("policy", "remedy"), [("keep", "rewritten"), ("strip", "removed")])
def test_timecode_is_written_anew_or_stripped(policy: str, remedy: str, tmp_path: Path) -> None:
    def code(output: Any, video: Any) -> None:
        video.metadata["timecode"] = "01:02:03:04"

    source = make_video(tmp_path / "in.mov", before=code)
    report = transcode(source, tmp_path / "out.mov", metadata=policy)
    assert [(extra.kind, extra.remedy) for extra in report.removed] == [("timecode", remedy)]
    found = {stream.metadata.get("timecode") for stream in probe(tmp_path / "out.mov").streams}
    assert found == ({"01:02:03:04"} if policy == "keep" else {None})


def test_unknown_data_stream_goes_and_is_listed(tmp_path: Path) -> None:
    def data(output: Any) -> list[Any]:
        stream = output.add_data_stream("klv")
        return [data_packet(stream, b"\x06\x0e\x2b\x34" + bytes(30), 0, Fraction(1, 90000))]

    source = _Beside(data).make(tmp_path / "in.ts")
    report = transcode(source, tmp_path / "out.ts")
    assert [(extra.kind, extra.remedy) for extra in report.removed] == [("data", "removed")]
    assert [stream.kind for stream in probe(tmp_path / "out.ts").streams] == ["video"]


def _with_sound(path: Path, codec: str, rate: int = 48000) -> Path:
    def before(output: Any, video: Any) -> None:
        sound = output.add_stream(codec, rate=rate, layout="stereo")
        sound.metadata["title"] = "Commentary"
        context = sound.codec_context
        packets.append((sound, context))

    def during(output: Any, video: Any, number: int) -> None:
        sound, context = packets[0]
        samples = context.frame_size or 1024
        frame = av.AudioFrame(format=context.format.name, layout="stereo", samples=samples)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.rate, frame.pts, frame.time_base = rate, number * samples, Fraction(1, rate)
        output.mux(sound.encode(frame))

    packets: list[Any] = []
    return make_video(path, before=before, during=during)


UNHELD = [
    ("pcm_s16le", "mp4"), ("pcm_s16le", "ts"), ("pcm_s16le", "flv"), ("flac", "mov"), ("libopus", "mov"),
    ("flac", "ts"), ("alac", "ts"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix"), UNHELD)
def test_sound_that_a_muxer_would_only_refuse_at_the_end_is_refused_at_once(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    source = _with_sound(tmp_path / "in.mkv", codec)
    name = codec.removeprefix("lib")
    words = rf"in\.mkv: stream 1: \.{suffix} cannot hold audio of codec {name} \(.*\); write \.mkv instead"
    with pytest.raises(UnsupportedError, match=words):
        VideoSink(tmp_path / f"out.{suffix}", probe(source))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_pcm_whose_channels_have_places_goes_into_an_mp4(tmp_path: Path) -> None:
    source = _with_sound(tmp_path / "in.mov", "pcm_s16le")
    transcode(source, tmp_path / "out.mp4")
    (before,), (after,) = sounds(source), sounds(tmp_path / "out.mp4")
    assert b"".join(data for _, data in before) == b"".join(data for _, data in after)


def test_last_sound_without_a_duration_is_not_cut_off(tmp_path: Path) -> None:
    source = _with_sound(tmp_path / "in.mkv", "alac")
    transcode(source, tmp_path / "out.mp4")
    (before,), (after,) = sounds(source), sounds(tmp_path / "out.mp4")
    assert [data for _, data in before] == [data for _, data in after]


@pytest.mark.parametrize("pair", ["mp4 mp4", "mp4 mkv", "mkv mp4"])
def test_name_of_a_track_is_carried(pair: str, tmp_path: Path) -> None:
    one, other = pair.split()
    transcode(_with_sound(tmp_path / f"in.{one}", "aac"), tmp_path / f"out.{other}")
    tags = probe(tmp_path / f"out.{other}").streams[1].metadata
    assert tags.get("title", tags.get("name")) == "Commentary"


def test_own_title_of_a_track_beats_its_alias() -> None:
    assert choose_stream_tags({"title": "a", "name": "b"}, "keep").kept == {"title": "a"}
    assert choose_stream_tags({"name": "b"}, "keep").kept == {"title": "b"}
    assert choose_stream_tags({"name": "b"}, "strip").kept == {}


@pytest.mark.parametrize("suffix", ["ts", "flv"])
def test_rotation_that_a_container_cannot_hold_is_refused_by_name(suffix: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", before=lambda _, video: video.set_display_rotation(90))
    with pytest.raises(UnsupportedError, match=rf"\.{suffix} cannot hold a rotation.*write \.mkv"):
        VideoSink(tmp_path / f"out.{suffix}", probe(source))


@pytest.mark.parametrize("base", [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1000)])
@pytest.mark.parametrize("own", [Fraction(1, 48000), Fraction(1, 44100), Fraction(3, 7)])
def test_a_packet_of_the_same_instant_is_not_put_off(base: Fraction, own: Fraction) -> None:
    lane = _Lane(1, "audio", cast(Any, None), own, 0)
    for time in (-1, 0, 1, 3 * own.numerator * base.denominator, 2**40):
        near = round(time * base / own)
        for dts in (near - 1, near, near + 1):
            assert lane.is_after(dts, time, base) == (dts * own > time * base)
