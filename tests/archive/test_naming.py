"""Outputs never land on an input, on one another, or where nobody looks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from facefx.archive.naming import OutputNames
from facefx.errors import ConfigError, UnsupportedError, UsageError


@dataclass(frozen=True)
class Found:
    url: str
    relative: str


def found(folder: Path, *names: str) -> list[Found]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [Found(str(folder / name), name) for name in names]


def remote(*names: str) -> list[Found]:
    return [Found(f"s3://in/{name}", name) for name in names]


TEMPLATES = {
    "{dir}/{name}": ("a/b/c.mp4", "top.mkv"),
    "{dir}/{stem}{ext}": ("a/b/c.mp4", "top.mkv"),
    "{dir}/{stem}_redacted{ext}": ("a/b/c_redacted.mp4", "top_redacted.mkv"),
    "{parent}-{name}": ("b-c.mp4", "-top.mkv"),
    "all/{parent}/{name}": ("all/b/c.mp4", "all/top.mkv"),
    "{{x}}/{name}": ("{x}/c.mp4", "{x}/top.mkv"),
}


@pytest.mark.parametrize(("template", "expected"), TEMPLATES.items(), ids=TEMPLATES)
def test_a_template_says_where_each_output_goes(template: str, expected: tuple[str, str]) -> None:
    assert OutputNames("s3://out", template).assign(remote("a/b/c.mp4", "top.mkv")) == list(expected)


@pytest.mark.parametrize(
    "template",
    [
        "{dir}/{stem}", "{stem}{ext}.bak", "{title}{ext}", "{}{ext}", "{0}{ext}", "{stem.upper}{ext}",
        "{stem:>200}{ext}", "{stem!r}{ext}", "/abs/{name}", "../{name}", "a/../../{name}", "{name", "", "x",
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_right_is_refused_before_anything_is_read(template: str) -> None:
    with pytest.raises(ConfigError, match="--template"):
        OutputNames("s3://out", template)


def test_a_video_keeps_its_kind_where_it_can_be_written_and_becomes_mkv_where_not() -> None:
    names = OutputNames("out")
    assert names.name("a/x.MOV") == "a/x.MOV"
    assert names.name("a/x.mts") == "a/x.mts"
    assert names.name("a/x.avi") == "a/x.mkv"
    assert names.name("a/x") == "a/x.mkv"
    assert OutputNames("out", container=".MP4").name("a/x.avi") == "a/x.mp4"
    with pytest.raises(UnsupportedError, match=r"a/x\.avi.*\.mkv"):
        OutputNames("out", container="keep").name("a/x.avi")
    with pytest.raises(ConfigError, match="--container 'avi'"):
        OutputNames("out", container="avi")


def test_a_photo_keeps_its_kind_whatever_the_container() -> None:
    names = OutputNames("out", container="mkv")
    assert names.name("a/x.JPG") == "a/x.JPG"
    assert names.name("a/x.heic") == "a/x.heic.jpg"


def test_no_two_sources_share_an_output() -> None:
    with pytest.raises(UsageError, match=r"x\.mkv would be the output of 2 sources: a/x\.avi, a/x\.mkv"):
        OutputNames("s3://out").assign(remote("a/x.avi", "a/x.mkv"))
    with pytest.raises(UsageError, match=r"3 sources: a/x\.mp4, b/x\.mp4, c/x\.mp4"):
        OutputNames("s3://out", "{name}").assign(remote("a/x.mp4", "b/x.mp4", "c/x.mp4", "c/y.mp4"))


def test_names_that_differ_for_linux_only_are_one_elsewhere() -> None:
    for one, other in (
        ("A/x.mp4", "a/X.MP4"),
        ("stra\u00dfe.mp4", "STRASSE.mp4"),
        ("e\u0301.mp4", "\u00e9.mp4"),
    ):
        with pytest.raises(UsageError, match="2 sources"):
            OutputNames("s3://out").assign(remote(one, other))


def test_an_output_is_no_folder_of_another() -> None:
    with pytest.raises(UsageError, match="folder where another output is"):
        OutputNames("s3://out", "{dir}/{name}").assign(remote("a.mp4", "a.mp4/b.mp4"))


def test_an_output_never_replaces_its_own_input(tmp_path: Path) -> None:
    sources = found(tmp_path / "in", "a.mp4", "b.mp4")
    with pytest.raises(UsageError, match=r"which is the input a\.mp4"):
        OutputNames(str(tmp_path / "in")).assign(sources)
    assert OutputNames(str(tmp_path / "in"), "{stem}_x{ext}").assign(sources) == ["a_x.mp4", "b_x.mp4"]
    with pytest.raises(UsageError, match="is the input"):
        OutputNames("s3://in").assign(remote("a.mp4"))
    with pytest.raises(UsageError, match="is the input"):
        OutputNames("s3://in/").assign(remote("a.mp4"))


def test_an_output_never_replaces_another_input(tmp_path: Path) -> None:
    sources = found(tmp_path / "in", "a.mp4", "a_x.mp4")
    with pytest.raises(UsageError, match=r"a\.mp4: its output would be .*, which is the input a_x\.mp4"):
        OutputNames(str(tmp_path / "in"), "{stem}_x{ext}").assign(sources)


def test_a_target_that_is_a_link_to_the_sources_is_seen_through(tmp_path: Path) -> None:
    sources = found(tmp_path / "in", "a.mp4")
    (tmp_path / "out").symlink_to(tmp_path / "in")
    with pytest.raises(UsageError, match="is the input"):
        OutputNames(str(tmp_path / "out")).assign(sources)


def test_a_source_that_is_a_link_into_the_target_is_seen_through(tmp_path: Path) -> None:
    found(tmp_path / "out", "a.mp4")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").symlink_to(tmp_path / "out" / "a.mp4")
    with pytest.raises(UsageError, match="is the input"):
        OutputNames(str(tmp_path / "out")).assign([Found(str(tmp_path / "in" / "a.mp4"), "a.mp4")])


def test_a_case_insensitive_disk_does_not_lose_an_input(tmp_path: Path) -> None:
    sources = found(tmp_path / "in", "Clip.mp4")
    for template in ("clip{ext}", "CLIP{ext}"):
        with pytest.raises(UsageError, match="is the input"):
            OutputNames(str(tmp_path / "in"), template).assign(sources)


def test_a_link_in_the_target_does_not_lead_out_of_it(tmp_path: Path) -> None:
    sources = found(tmp_path / "in", "day/a.mp4")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "day").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="outside of the target"):
        OutputNames(str(tmp_path / "out")).assign(sources)


@pytest.mark.parametrize("relative", ["../a.mp4", "a/../../b.mp4"])
def test_a_name_does_not_climb_out_of_the_target(relative: str) -> None:
    with pytest.raises(UsageError, match="outside of the target"):
        OutputNames("s3://out").assign([Found("s3://in/x", relative)])


@pytest.mark.parametrize("relative", [".facefx/a.mp4", ".FaceFX/a.mp4"])
def test_no_output_lands_among_the_archives_own_files(relative: str) -> None:
    with pytest.raises(UsageError, match="its own files"):
        OutputNames("s3://out").assign(remote(relative))


@pytest.mark.parametrize(
    ("relative", "said"),
    [
        ("a\nb.mp4", "control characters"),
        ("a\x1b[31m.mp4", "control characters"),
        ("a\udce9.mp4", "control characters"),
        ("x" * 252 + ".mp4", "too long"),
        ("\u00e9" * 130 + ".mp4", "too long"),
        ("/".join(["y" * 200] * 6) + ".mp4", "too long"),
    ],
)
def test_a_name_that_some_storage_cannot_hold_is_refused_in_one_clean_line(relative: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        OutputNames("s3://out").assign(remote(relative))
    assert str(caught.value).isprintable()


def test_many_problems_are_one_message_of_bearable_length() -> None:
    sources = remote(*(f"{i}/x.mp4" for i in range(1000)), *(f"../{i}.mp4" for i in range(1000)))
    with pytest.raises(UsageError, match="and 996 more") as caught:
        OutputNames("s3://out", "{dir}/{name}").assign([*sources, *remote("0/x.mp4")])
    assert len(str(caught.value)) < 1000


def test_a_large_archive_is_named_in_no_time(tmp_path: Path) -> None:
    sources = [Found(str(tmp_path / f"in/{i % 50}/{i}.mp4"), f"{i % 50}/{i}.mp4") for i in range(10_000)]
    names = OutputNames(str(tmp_path / "out")).assign(sources)
    assert names[:2] == ["0/0.mp4", "1/1.mp4"]
