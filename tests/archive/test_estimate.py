"""An estimate reads little, decodes nothing, and says how far it can be trusted."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from facefx.archive.estimate import MEASURED, Listed, Rate, Rates, Work, estimate, estimate_archive
from facefx.config import load_config
from facefx.errors import SourceError
from facefx.video.index import Readable, read_index
from facefx.video.probe import probe


@dataclass(frozen=True)
class Found:
    url: str
    relative: str
    size_bytes: int


def found(*paths: Path) -> list[Found]:
    return [Found(str(path), path.name, path.stat().st_size) for path in paths]


INDEXED = ("bench_720p.mp4", "vfr_640x360.mp4", "prores_422_10bit_480x270.mov", "hevc_10bit_640x360.mp4",
           "fps2997_640x360.mp4", "rotated90_480x640.mp4", "one_frame_640x360.mp4")  # fmt: skip
HEADED = ("two_audio_640x360.mkv", "vp9_opus_640x360.webm", "start_offset_3600s_640x360.ts",
          "h264_aac_640x360.flv", "fragmented_640x360.mp4", "interlaced_mpeg2_720x576.ts")  # fmt: skip


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_tells_the_true_number_of_frames(media: Path, name: str) -> None:
    path = media / "formats" / name
    info = probe(path)
    with path.open("rb") as file:
        facts = read_index(file, name, 1 << 20)
    assert facts is not None
    assert facts.source == "index"
    assert (facts.frames, facts.codec) == (info.video.frames_expected, info.video.codec)
    assert facts.duration_s == pytest.approx(info.video.duration_s, rel=0.05)
    assert (facts.width, facts.height) == (info.video.format.width, info.video.format.height)


@pytest.mark.parametrize("name", HEADED)
def test_a_header_tells_about_the_number_and_says_so(media: Path, name: str) -> None:
    path = media / "formats" / name
    info = probe(path)
    with path.open("rb") as file:
        facts = read_index(file, name, 1 << 20)
    assert facts is not None
    assert facts.source == "header"
    assert facts.frames == pytest.approx(info.video.frames_expected, rel=0.05)


def hollow(path: Path, source: Path, hole: int) -> Path:
    """A video whose index stands behind a hole of so many bytes, as a recorder leaves it."""
    data = source.read_bytes()
    head = int.from_bytes(data[:4], "big")
    with path.open("wb") as file:
        file.write(data[:head] + (8 + hole).to_bytes(4, "big") + b"free")
        file.seek(hole, os.SEEK_CUR)
        file.write(data[head:])
    return path


def test_a_large_files_pixels_are_not_read(media: Path, tmp_path: Path) -> None:
    big = hollow(tmp_path / "big.mp4", media / "formats" / "bench_720p.mp4", 1 << 30)
    total = estimate(found(big))
    assert total.frames == 600
    assert total.told_by == {"index": 1}
    assert total.bytes_in > 1 << 30
    assert total.bytes_read < 1 << 20


def test_nothing_is_decoded(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import facefx.video.decode
    import facefx.video.probe

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(facefx.video.probe, "_first_frame", never)
    monkeypatch.setattr(facefx.video.decode, "Decoder", never)
    assert estimate(found(*sorted((media / "clips").glob("*.mp4")))).videos == 12


def test_only_what_is_wanted_of_a_remote_file_is_fetched(media: Path) -> None:
    path = media / "formats" / "bench_720p.mp4"
    fetched: list[int] = []

    class Remote(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            fetched.append(len(data))
            return data

    def opened(entry: Listed) -> Readable:
        assert entry.url == "s3://in/a.mp4"
        return Remote(path.read_bytes())

    total = estimate([Found("s3://in/a.mp4", "a.mp4", path.stat().st_size)], open_index=opened)
    assert total.frames == 600
    assert sum(fetched) == total.bytes_read < 200_000


def test_a_remote_file_that_nobody_can_open_is_judged_by_its_size_and_said_so(media: Path) -> None:
    total = estimate([Found("s3://in/a.mp4", "a.mp4", 375_000 * 3600)])
    assert total.told_by == {"size": 1}
    assert total.hours == pytest.approx(1)
    assert total.cpu_hours_high > 10 * total.cpu_hours_low
    local = found(media / "formats" / "bench_720p.mp4")
    both = estimate([*local, Found("s3://in/a.mp4", "a.mp4", local[0].size_bytes * 3)])
    assert both.hours == pytest.approx(4 * 20 / 3600)  # as long for its size as its neighbour
    assert both.segments >= 4


def test_a_bad_file_is_named_and_costs_the_rest_nothing(media: Path, tmp_path: Path) -> None:
    good, bad = media / "formats" / "bench_720p.mp4", media / "formats" / "garbage.mp4"
    missing = Found(str(tmp_path / "gone.mp4"), "gone.mp4", 5)
    total = estimate([*found(bad, media / "formats" / "audio_only.mp4"), missing, *found(good)])
    assert (total.videos, total.unreadable_count) == (1, 3)
    assert [name for name, _ in total.unreadable] == ["garbage.mp4", "audio_only.mp4", "gone.mp4"]
    many = estimate([missing] * 700)
    assert (many.unreadable_count, len(many.unreadable)) == (700, 20)


def test_a_playlist_is_not_followed(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(media / "formats")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile bench_720p.mp4\n")
    assert estimate(found(tmp_path / "list.mp4")).unreadable_count == 1


def test_an_index_that_lies_too_deep_is_left_alone(media: Path) -> None:
    fetched: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            fetched.append(1)
            return super().read(size)

    data = (media / "formats" / "start_offset_3600s_640x360.ts").read_bytes()
    assert read_index(Counting(data), "a.ts", 1000) is None
    assert len(fetched) == 1


def test_photos_are_counted_apart(media: Path) -> None:
    total = estimate(found(media / "stills" / "astronaut_1.png", media / "stills" / "couple_2.jpg"))
    assert (total.photos, total.videos) == (2, 0)


def test_segments_are_cut_at_keyframes(media: Path) -> None:
    path = found(media / "formats" / "bench_720p.mp4")  # 20 s, a keyframe every 2 s
    assert estimate(path, Work(segment_s=None)).segments == 1
    assert estimate(path, Work(segment_s=5.0)).segments == 4
    assert 9 <= estimate(path, Work(segment_s=0.5)).segments <= 12  # never between keyframes


def test_what_costs_more_is_estimated_to_cost_more(media: Path) -> None:
    path = found(media / "formats" / "bench_720p.mp4")
    plain = estimate(path)
    assert plain.cpu_hours_low < plain.cpu_hours < plain.cpu_hours_high
    assert estimate(path, Work(codec="libx265")).cpu_hours > plain.cpu_hours
    assert estimate(path, Work(preset="veryfast")).cpu_hours < plain.cpu_hours
    assert estimate(path, Work(landmarks=True)).cpu_hours > plain.cpu_hours
    assert estimate(path, Work(codec="libvpx")).cpu_hours >= estimate(path, Work(codec="libx265")).cpu_hours


def test_the_table_of_rates_gives_what_its_benchmark_measured(media: Path) -> None:
    total = estimate(found(media / "formats" / "bench_720p.mp4"), Work(preset="veryfast"))
    assert total.cpu_hours * 3_600_000 / 600 == pytest.approx(13.4, rel=0.1)  # ms a frame, speed.md
    assert total.rates == MEASURED.source


def test_a_sample_of_the_archive_overrules_the_table(media: Path) -> None:
    path = found(media / "formats" / "bench_720p.mp4")
    rates = Rates.of_sample([(10, 1.0), (10, 2.0), (10, 6.0)])
    total = estimate(path, rates=rates, gpu_ms_per_megapixel=3.6)
    megapixels = 600 * 1280 * 720 / 1e6
    assert total.cpu_hours == pytest.approx(megapixels * 200 / 3_600_000)
    assert total.cpu_hours_low == pytest.approx(total.cpu_hours / 2)
    assert total.cpu_hours_high == pytest.approx(total.cpu_hours * 3)
    assert total.gpu_hours == pytest.approx(megapixels * 1e-6)
    assert "3 parts of this archive" in total.rates
    assert estimate(path).gpu_hours is None
    with pytest.raises(SourceError, match="at least one frame"):
        Rates.of_sample([(0, 1.0)])
    assert rates.everything == Rate(200, 100, 600)


def test_an_estimate_is_plain_values(media: Path) -> None:
    total = estimate(found(*sorted((media / "formats").iterdir())))
    plain = json.loads(json.dumps(total.to_json()))
    assert plain["told_by"] == {"index": 22, "header": 7}
    assert plain["unreadable"][0] == {"relative": "audio_only.mp4", "reason": total.unreadable[0][1]}
    assert sum(plain["codecs"].values()) == plain["videos"] == 29


def test_a_person_reads_how_it_is_known_and_what_is_no_video(media: Path) -> None:
    formats = media / "formats"
    entries = [*found(formats / "bench_720p.mp4", formats / "two_audio_640x360.mkv", formats / "garbage.mp4")]
    total = estimate_archive(entries, load_config(None, {"effects": ["smooth"]}), 5.0)
    text = "\n".join(total.lines())
    assert text.startswith("2 videos, 24.0 s, 7.8 MB\nabout 721 frames in 5 segments\nCPU time: about ")
    assert f"; {MEASURED.source}" in text
    assert "known from 1 video by their header (length times rate); 1 video by their index" in text
    assert "no video: garbage.mp4: reading the index failed" in text
    assert "GPU" not in text
    boxes = estimate_archive(entries, load_config(None, {"effects": ["solid"]}), 5.0)
    assert boxes.cpu_hours < total.cpu_hours


def test_progress_is_told_while_indexes_are_read(media: Path) -> None:
    told: list[int] = []
    estimate(found(media / "formats" / "tiny_64x36.mp4") * 1200, told=told.append)
    assert told == [512, 1024, 1200]
