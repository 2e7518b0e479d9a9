"""Assets that move: the right frame at the right time, and none that a worker chokes on at frame 7,000."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ar_makers import asset, head, made, shown
from effect_makers import stream
from numpy.typing import NDArray

from facefx.effects import animation, picture
from facefx.effects.animation import Animation, read_animation, sha256_of_asset
from facefx.effects.builtin import builtin_names, draw_builtin
from facefx.effects.files import pinned_path
from facefx.effects.picture_size import picture_kind, picture_size
from facefx.effects.registry import make_spec
from facefx.errors import EffectError

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
DURATIONS = (100, 200, 300)


def frame(rgb: tuple[int, int, int], size: tuple[int, int] = (30, 20)) -> NDArray[np.uint8]:
    """BGRA of one colour, its upper quarter transparent."""
    bgra = np.zeros((size[1], size[0], 4), np.uint8)
    bgra[..., :3], bgra[..., 3] = rgb[::-1], 255
    bgra[: size[1] // 4] = 0
    return bgra


def encoded(suffix: str, durations: tuple[int, ...] = DURATIONS, size: tuple[int, int] = (30, 20)) -> bytes:
    whole = cv2.Animation()
    whole.frames = [frame(COLOURS[i % 3], size) for i in range(len(durations))]
    whole.durations = list(durations)
    ok, data = cv2.imencodeanimation(suffix, whole)
    assert ok
    return bytes(data)


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def refused(path: str, said: str, **more: Any) -> None:
    """When the plan is made, in one line."""
    with pytest.raises(EffectError, match=said) as caught:
        make_spec("sticker", {"path": path, **more})
    assert "\n" not in str(caught.value)


def test_each_frame_is_shown_for_its_time_and_then_the_round_begins_anew() -> None:
    moving = Animation((np.zeros((1, 1, 4), np.uint8),) * 3, (100, 300, 600))
    times = {0.0: 0, 0.09: 0, 0.1: 1, 0.29: 1, 0.3: 2, 0.59: 2, 0.6: 0, 1.21: 0, 6000.35: 2, -0.05: 2}
    assert {time: moving.at(time) for time in times} == times
    # A frame of 30 a second that begins together with one of the animation's, rounded down by a hair.
    assert moving.at(0.1 - 1e-4) == 1
    assert Animation(moving.frames[:1], (100,)).at(77.0) == 0


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_every_kind_of_animation_is_read(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"moving{suffix}", encoded(suffix))
    moving = read_animation(path, "sticker")
    assert moving.ends_ms == (100, 300, 600)
    for rgba, colour in zip(moving.frames, COLOURS, strict=True):
        assert rgba.shape == (20, 30, 4)
        assert rgba[12, 15].tolist() == pytest.approx([*colour, 255], abs=12)
        assert rgba[1, 1, 3] == 0


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", "gray.png", "deep.png"])
def test_every_kind_of_still_is_one_frame(suffix: str, tmp_path: Path) -> None:
    pixels: NDArray[Any] = np.full((20, 30, 3), (30, 60, 200), np.uint8)
    if suffix == "gray.png":
        pixels = pixels[..., 2]
    if suffix == "deep.png":
        pixels = pixels.astype(np.uint16) * 257
    path = str(tmp_path / f"still{suffix}")
    assert cv2.imwrite(path, pixels)
    (rgba,) = read_animation(path, "sticker").frames
    expected = (200, 200, 200) if suffix == "gray.png" else (200, 60, 30)
    assert rgba[10, 10].tolist() == pytest.approx([*expected, 255], abs=4)


def test_a_frame_without_a_time_is_shown_as_browsers_do(tmp_path: Path) -> None:
    path = written(tmp_path / "hasty.gif", encoded(".gif", (0, 10, 50)))
    assert read_animation(path, "sticker").ends_ms == (100, 200, 250)


def test_a_folder_is_read_by_number_not_by_letter(tmp_path: Path) -> None:
    for number, colour in ((10, COLOURS[2]), (2, COLOURS[1]), (1, COLOURS[0])):
        cv2.imwrite(str(tmp_path / f"star{number}.png"), frame(colour))
    (tmp_path / "notes.txt").write_text("no picture")
    moving = read_animation(str(tmp_path), "sticker", fps=20)
    assert [rgba[12, 15, :3].tolist() for rgba in moving.frames] == [list(colour) for colour in COLOURS]
    assert moving.ends_ms == (50, 100, 150)


def test_the_frame_follows_pts_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "moving.png", encoded(".png"))
    format = stream("yuvj444p")  # 25 frames a second
    effect = made("sticker", path=path, width=1.0)
    lumas: dict[int, bytes] = {}
    for pts in (9, 0, 4, 2, 15, 0):
        luma = shown(effect, format, None, head(format, (80, 60), 80, pts=pts))[0]
        assert lumas.setdefault(pts, luma.tobytes()) == luma.tobytes()
    assert lumas[0] == lumas[15] != lumas[4] != lumas[9]
    assert lumas[0] == lumas[2]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.98])
def test_a_cut_file_is_refused_when_the_plan_is_made(suffix: str, part: float, tmp_path: Path) -> None:
    data = encoded(suffix)
    path = written(tmp_path / f"cut{suffix}", data[: max(12, round(len(data) * part))])
    refused(path, "cannot be decoded: .* damaged|is not a picture")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("text.png", b"hello", "text.png is not a picture: expected a PNG, JPEG, WebP or GIF file"),
        ("empty.gif", b"", "is not a picture"),
        ("zero.gif", b"GIF89a" + bytes(20), "the picture is damaged"),
        (
            "bomb.gif",
            b"GIF89a" + b"\xff\xff" * 2 + bytes(20),
            "65535 × 65535 px: expected at most 8192 a side",
        ),
        ("bomb.jpg", b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff" + bytes(20), "65535 × 65535 px"),
        ("bomb.webp", b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\xff\x3f\0" * 2 + bytes(9), "16384 × 16384 px"),
        (
            "large.webp",
            b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\xff\x1f\0" * 2 + bytes(9),
            "48 million pixels in all",
        ),
    ],
)
def test_a_broken_or_huge_picture_is_refused(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    refused(written(tmp_path / name, data), said)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    refused(str(tmp_path / "none.png"), "effect sticker: picture .*none.png cannot be read: No such file")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_MAX_BYTES", 1 << 20)
    refused(written(tmp_path / "large.gif", encoded(".gif") + bytes(1 << 20)), "larger than 1 MB")


def test_too_many_frames_are_not_even_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "_MAX_FRAMES", 4)
    decoded = []
    decode = cv2.imdecodeanimation

    def counted(*args: Any) -> Any:
        whole, found = decode(*args)
        decoded.append(len(found.frames))
        return whole, found

    monkeypatch.setattr(cv2, "imdecodeanimation", counted)
    path = written(tmp_path / "long.gif", encoded(".gif", (40,) * 30))
    refused(path, "more than 4 frames of 30 × 20 px: expected at most 4 frames")
    assert decoded == [5]
    assert len(read_animation(written(tmp_path / "four.gif", encoded(".gif", (40,) * 4)), "x").frames) == 4


def test_an_animation_that_shows_nothing_is_refused(tmp_path: Path) -> None:
    refused(asset(tmp_path / "clear.png", np.zeros((8, 8, 4), np.uint8)), "every pixel is transparent")


def test_a_folder_that_makes_no_animation_is_refused(tmp_path: Path) -> None:
    refused(str(tmp_path), "holds no numbered PNG, JPEG or WebP pictures")
    cv2.imwrite(str(tmp_path / "1.png"), frame(COLOURS[0]))
    cv2.imwrite(str(tmp_path / "2.png"), frame(COLOURS[0], (40, 20)))
    refused(str(tmp_path), "2.png is 40 × 20 px, those before it 30 × 20: expected one size")
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    refused(str(tmp_path), "2.png cannot be decoded")


def test_an_asset_that_changed_since_the_plan_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / f"{i}.png"), frame(COLOURS[i]))
    single = written(tmp_path / "moving.gif", encoded(".gif"))
    pinned = {path: make_spec("sticker", {"path": path}).params for path in (single, str(folder))}
    for path, params in pinned.items():
        assert params["sha256"] == sha256_of_asset(path, "sticker")
        assert make_spec("sticker", params).params == params
    (folder / "1.png").rename(folder / "2.png")
    written(tmp_path / "moving.gif", encoded(".gif", (100, 100, 100)))
    for path, params in pinned.items():
        refused(path, "changed since the plan was made: expected sha256", sha256=params["sha256"])


def test_a_path_is_made_absolute_but_a_name_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert pinned_path("star.png") == str(tmp_path / "star.png")
    assert pinned_path("builtin:hat") == "builtin:hat"


@pytest.mark.parametrize("name", builtin_names())
def test_what_is_drawn_is_whole_and_the_same_each_time(name: str) -> None:
    frames, durations = draw_builtin(f"builtin:{name}", "sticker")
    assert len(frames) == len(durations)
    for rgba in frames:
        assert rgba.dtype == np.uint8
        assert (rgba[..., 3] > 0).mean() > 0.02
    params = make_spec("sticker", {"path": f"builtin:{name}"}).params
    assert params["sha256"] == sha256_of_asset(f"builtin:{name}", "sticker")


def test_an_unknown_name_says_what_was_meant() -> None:
    refused(
        "builtin:moustash",
        "builtin:moustash is unknown, did you mean builtin:moustache.: expected builtin: and",
    )


def test_a_large_picture_is_kept_small_and_its_edges_keep_their_colour(tmp_path: Path) -> None:
    rgba = np.zeros((60, 4000, 4), np.uint8)
    rgba[:, 1001:] = (200, 40, 90, 255)
    rgba[:, :1001, :3] = 255  # white, but transparent
    (kept,) = read_animation(asset(tmp_path / "wide.png", rgba), "sticker").frames
    assert kept.shape == (31, 2048, 4)
    partly = kept[(kept[..., 3] > 8) & (kept[..., 3] < 247)]
    assert len(partly)
    assert np.abs(partly[:, :3].astype(int) - (200, 40, 90)).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif"])
def test_sizes_are_read_from_headers(suffix: str) -> None:
    ok, data = cv2.imencode(suffix, np.full((37, 53, 3), 90, np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 50])
    assert ok
    assert picture_size(bytes(data)) == (53, 37)
    assert picture_kind(bytes(data)) == ("still" if suffix in (".png", ".jpg") else "moving")


def test_a_lossless_webp_has_its_size_elsewhere() -> None:
    _, data = cv2.imencode(".webp", np.full((37, 53, 3), 90, np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert bytes(data)[12:16] == b"VP8L"
    assert picture_size(bytes(data)) == (53, 37)
