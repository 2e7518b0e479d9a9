"""The gallery shows every effect there is, says the truth about it, and is the same page each time."""

from __future__ import annotations

import html
import re
import shlex
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from facefx.cli.app import main
from facefx.effects.effect import Effect
from facefx.effects.library.solid import Solid
from facefx.effects.presets import preset, preset_names, read_chain
from facefx.effects.reference import describe_all
from facefx.effects.registry import effect_class, effect_names, parse_effect
from facefx.effects.samples import lacking, sample_files, samples_of
from facefx.errors import EffectError, SourceError
from facefx.pipeline.gallery import Gallery, make_gallery
from facefx.values import Face, Patch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return make_gallery(tmp_path_factory.mktemp("gallery"))


def text_of(made: Gallery) -> str:
    return html.unescape(made.page.read_text(encoding="utf-8"))


def shown(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def commands(made: Gallery) -> list[str]:
    """The --effect of every command on the page."""
    found = re.findall(r"<code>(facefx run in[^<]*)</code>", made.page.read_text(encoding="utf-8"))
    return [shlex.split(html.unescape(command))[-1] for command in found]


def test_every_effect_is_shown_with_what_it_says_of_itself(whole: Gallery) -> None:
    page = text_of(whole)
    assert whole.effects == len(effect_names())
    for info in describe_all():
        article = page.split(f'id="effect-{info.name}"')[1].split("</article>")[0]
        for said in (info.summary, info.caution, ", ".join(info.needs)):
            assert said in article
        for param in info.params:
            assert param.description in article


def test_every_preset_is_shown(whole: Gallery) -> None:
    page = text_of(whole)
    for name in preset_names():
        article = page.split(f'id="preset-{name}"')[1].split("</article>")[0]
        assert preset(name).about in article
        assert f"--effect @{name}" in article


def test_each_picture_has_the_command_that_makes_it(
    whole: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole.page.parent)  # files are named as seen from the page
    asked = commands(whole)
    assert len(asked) == whole.pictures - 1 == len(list(whole.page.parent.glob("*.png"))) - 1
    for text in asked:
        assert read_chain([text])
    own = [parse_effect(text).name for text in asked if not text.startswith("@")]
    complete = [
        name
        for name in effect_names()
        if not lacking(effect_class(name), sample_files(effect_class(name), tmp_path))
    ]
    for name in complete:
        assert own.count(name) == len(samples_of(effect_class(name))) >= 1


def test_no_effect_fails_on_the_portrait(whole: Gallery) -> None:
    assert [note for note in whole.notes if "not shown" not in note] == []


def test_strengths_differ_to_the_eye(whole: Gallery) -> None:
    """Three settings that look the same show nothing."""
    for name in effect_names():
        files = sorted(whole.page.parent.glob(f"effect-{name}-*.png"))
        pictures = [cv2.imread(str(file)).astype(np.int16) for file in files]
        assert all(np.abs(a - b).max() > 2 for a, b in pairwise(pictures)), name


def test_the_count_of_changed_pixels_is_the_pictures_own(whole: Gallery) -> None:
    folder = whole.page.parent
    before, after = (cv2.imread(str(folder / name)) for name in ("before.png", "effect-solid-2.png"))
    page = text_of(whole)
    stage = page.split('alt="solid"')[1].split("</figure>")[0]
    told = re.search(r"([\d\xa0]+) px changed", stage)
    assert told
    seen = int((before != after).any(axis=2).sum())
    # Codes of ten bits may move without a sample of eight bits showing it.
    assert seen <= int(told[1].replace("\xa0", "")) <= 1.01 * seen


def test_the_same_page_and_pictures_each_time(tmp_path: Path) -> None:
    made = [make_gallery(tmp_path / part, ["image", "pixelate", "@newsroom"]) for part in ("one", "two")]
    first, second = (shown(gallery.page.parent) for gallery in made)
    assert first == second
    assert str(tmp_path).encode() not in first["index.html"]


def test_the_page_loads_nothing_from_anywhere(whole: Gallery) -> None:
    page = whole.page.read_text(encoding="utf-8")
    bare = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "data:", page)
    assert re.findall(r"https?://|//[a-z]+\.[a-z]", bare) == []
    assert set(re.findall(r'(?:src|href)="([^"#]*)', bare)) == {"data:", ""}
    assert "@import" not in bare
    assert re.findall(r"url\(([^)]*)\)", bare) == ["data:"]


def test_one_setting_of_ones_own_and_only_that(tmp_path: Path) -> None:
    made = make_gallery(tmp_path, ["solid:colour=#204060,grow=1.1"])
    assert commands(made) == ["solid:colour=#204060,grow=1.1"]
    assert (made.effects, made.pictures) == (1, 2)


def test_a_typo_ends_it_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(EffectError, match="did you mean 'smooth'"):
        make_gallery(tmp_path, ["solid", "smoth"])
    assert list(tmp_path.iterdir()) == []


def test_a_photo_of_ones_own_is_cut_to_its_largest_face(media: Path, tmp_path: Path) -> None:
    photo = tmp_path / "<b>me & you.jpg"
    photo.write_bytes((media / "stills" / "couple_2.jpg").read_bytes())
    made = make_gallery(tmp_path / "out", ["solid"], str(photo))
    page = made.page.read_text(encoding="utf-8")
    assert "&lt;b&gt;me &amp; you.jpg" in page
    assert "<b>me" not in page
    before, after = (
        cv2.imread(str(tmp_path / "out" / name)) for name in ("before.png", "effect-solid-2.png")
    )
    assert before.shape == after.shape == (512, 512, 3)
    assert 0.15 < (before != after).any(axis=2).mean() < 0.6


def test_a_photo_of_nobody_is_one_clear_line(media: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"house_0\.jpg: no face was found"):
        make_gallery(tmp_path, ["solid"], str(media / "stills" / "house_0.jpg"))


def test_an_effect_that_fails_says_so_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Effect, patch: Patch, face: Face) -> None:
        raise ValueError("out of paint")

    monkeypatch.setattr(Solid, "cover", broken)
    made = make_gallery(tmp_path, ["solid"])
    assert all("solid: ValueError out of paint" in note for note in made.notes)
    assert len(made.notes) == 3
    assert '<span class="wrong">solid: ValueError out of paint</span>' in text_of(made)


def test_an_effect_that_needs_a_users_file_is_told_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effect_class("image"), "sample_files", classmethod(lambda cls, folder: {}))
    made = make_gallery(tmp_path, ["image"])
    assert made.notes == ("image: not shown, for it needs path",)
    assert "--effect image:path=…" in text_of(made)


def test_open_opens_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["gallery", str(tmp_path), "-e", "solid"]) == 0
    assert opened == []
    assert main(["gallery", str(tmp_path), "-e", "solid", "--open"]) == 0
    assert opened == [(tmp_path / "index.html").as_uri()]


def test_the_command_says_where_the_page_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", str(tmp_path / "g"), "--effect", "solid", "-e", "@newsroom"]) == 0
    assert f"{tmp_path / 'g' / 'index.html'}: 1 effects, 5 pictures" in capfd.readouterr().err
    assert main(["gallery", str(tmp_path / "g"), "--effect", "sold"]) == 2
    (tmp_path / "file").touch()
    assert main(["gallery", str(tmp_path / "file" / "g")]) == 3
