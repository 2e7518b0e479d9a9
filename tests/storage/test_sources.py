"""What a user names is found whole, once each, under paths that lead nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from s3_place import S3Place

from facefx.errors import SourceError, UsageError
from facefx.storage import PHOTO_SUFFIXES, VIDEO_SUFFIXES, StorageOptions, Store, find_sources, staged

TREE = [
    "a.mp4",
    "B.MOV",
    "note.txt",
    "photo.jpg",
    "2024/cam1/x.mp4",
    "2024/cam2/x.mp4",
    "2024/cam2/.x.mp4.0011aabb.part.mp4",
    ".hidden.mp4",
    ".facefx/segments/s.mp4",
    "out/a.mp4",
]


def relatives(specs: list[str], options: StorageOptions | None = None, **more: object) -> list[str]:
    return [entry.relative for entry in find_sources(specs, options, **more)]  # type: ignore[arg-type]


@pytest.fixture(params=["disk", "s3", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, StorageOptions | None]:
    """The same files everywhere: the root, and how to reach it."""
    if request.param == "s3":
        place: S3Place = request.getfixturevalue("s3")
        for rel in TREE:
            place.client.put_object(Bucket=place.bucket, Key=f"in/{rel}", Body=b"x")
        return f"{place.url}/in", place.options()
    if request.param == "memory":
        root = uuid4().hex
        for rel in TREE:
            fsspec.filesystem("memory").pipe(f"{root}/in/{rel}", b"x")
        return f"memory://{root}/in", None
    for rel in TREE:
        (tmp_path / "in" / rel).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / rel).write_bytes(b"x")
    return str(tmp_path / "in"), None


VIDEOS = ["2024/cam1/x.mp4", "2024/cam2/x.mp4", "B.MOV", "a.mp4", "out/a.mp4"]


def test_a_folder_is_searched_in_depth_without_what_is_hidden(
    tree: tuple[str, StorageOptions | None],
) -> None:
    root, options = tree
    entries = find_sources([root], options)
    assert [entry.relative for entry in entries] == VIDEOS
    assert {entry.size_bytes for entry in entries} == {1}
    assert all(entry.version for entry in entries)
    assert [entry.url for entry in entries] == [f"{root}/{rel}" for rel in VIDEOS]
    assert relatives([root + "/"], options, suffixes=PHOTO_SUFFIXES) == ["photo.jpg"]
    both = relatives([root], options, suffixes=VIDEO_SUFFIXES | PHOTO_SUFFIXES)
    assert both == sorted([*VIDEOS, "photo.jpg"])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.mp4", ["a.mp4"]),
        ("*", ["B.MOV", "a.mp4"]),
        ("**/*.mp4", ["2024/cam1/x.mp4", "2024/cam2/x.mp4", "a.mp4", "out/a.mp4"]),
        ("2024/*/x.mp4", ["cam1/x.mp4", "cam2/x.mp4"]),
        ("2024/cam[!1]/?.mp4", ["cam2/x.mp4"]),
        ("20**", ["2024/cam1/x.mp4", "2024/cam2/x.mp4"]),
        ("*.txt", ["note.txt"]),
        (".hid*.mp4", [".hidden.mp4"]),
    ],
)
def test_a_glob_means_the_same_everywhere(
    tree: tuple[str, StorageOptions | None], pattern: str, expected: list[str]
) -> None:
    root, options = tree
    assert relatives([f"{root}/{pattern}"], options) == expected


def test_outputs_within_the_input_are_left_out(tree: tuple[str, StorageOptions | None]) -> None:
    root, options = tree
    expected = [rel for rel in VIDEOS if rel != "out/a.mp4"]
    assert relatives([root], options, exclude=[f"{root}/out/"]) == expected
    assert relatives([f"{root}/**/*.mp4"], options, exclude=[f"{root}/out"]) == [
        "2024/cam1/x.mp4",
        "2024/cam2/x.mp4",
        "a.mp4",
    ]
    assert relatives([root], options, exclude=[f"{root}/ou"]) == VIDEOS, "a name that only begins like it"
    assert relatives([root], options, exclude=[root]) == VIDEOS, "the input itself is no output within it"


def test_what_is_named_twice_is_found_once(tree: tuple[str, StorageOptions | None]) -> None:
    root, options = tree
    assert relatives([f"{root}/a.mp4", root, f"{root}/*.mp4"], options) == VIDEOS


def test_versions_are_those_that_staging_will_see(tree: tuple[str, StorageOptions | None]) -> None:
    """Found by a list, or by name: one version, or each staging would call the file changed."""
    root, options = tree
    listed = {entry.url: entry for entry in find_sources([root], options)}
    (named,) = find_sources([f"{root}/a.mp4"], options)
    assert listed[named.url] == named


def test_a_list_names_files_from_its_own_folder(tree: tuple[str, StorageOptions | None]) -> None:
    root, options = tree
    text = "\ufeff# cameras\r\n\r\n2024/cam2/x.mp4\r\n  a.mp4  \r\nout/*.mp4\r\nnote.txt\n"
    if root.startswith("/"):
        (Path(root) / "list.txt").write_text(text, encoding="utf-8")
    elif options is None:
        fsspec.filesystem("memory").pipe(f"{root}/list.txt", text.encode())
    else:
        bucket = root.split("/")[2]
        Store(f"s3://{bucket}/in", options).write("list.txt", text.encode())
    found = find_sources([f"@{root}/list.txt"], options)
    assert len(found) == 4
    assert [entry.relative for entry in found if "cam2" in entry.url] == ["2024/cam2/x.mp4"]
    assert {entry.url for entry in found} == {
        f"{root}/{rel}" for rel in ("2024/cam2/x.mp4", "a.mp4", "out/a.mp4", "note.txt")
    }


def test_a_list_may_name_what_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "v").mkdir()
    (tmp_path / "v/a.mp4").touch()
    (tmp_path / "lists/l.txt").write_text(f"../v/a.mp4\n{tmp_path}/v\n")
    (entry,) = find_sources([f"@{tmp_path}/lists/l.txt"])
    assert entry.url == f"{tmp_path}/v/a.mp4"
    assert ".." not in entry.relative.split("/")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (b"# nothing\n", SourceError, "lists nothing"),
        (b"\xff\xfe\x00", SourceError, "is no list"),
        (b"@other.txt\n", UsageError, "may not name a list"),
        (b"none.mp4\n", SourceError, r"none\.mp4: is not there"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: bytes, kind: type[Exception], message: str
) -> None:
    (tmp_path / "l.txt").write_bytes(text)
    with pytest.raises(kind, match=message):
        find_sources([f"@{tmp_path}/l.txt"])


def test_two_sources_of_one_name_get_a_mark_each(tmp_path: Path) -> None:
    """Also where only the case of letters differs: the outputs may lie on a disk that does not tell it."""
    for rel in ("a/x.mp4", "b/x.mp4", "c/X.mp4", "d/y.mp4"):
        (tmp_path / rel).parent.mkdir()
        (tmp_path / rel).touch()
    specs = [str(tmp_path / rel) for rel in ("a/x.mp4", "b/x.mp4", "c/X.mp4", "d/y.mp4")]
    found = find_sources(specs)
    names = [entry.relative for entry in found]
    assert len({name.casefold() for name in names}) == 4
    assert "y.mp4" in names
    assert {entry.url: entry.relative for entry in find_sources(specs[::-1])} == {
        entry.url: entry.relative for entry in found
    }, "the mark depends on the source alone"


def test_keys_that_would_lead_elsewhere_are_made_safe(s3: S3Place) -> None:
    for key in ("in/../../etc/x.mp4", "in//double.mp4", "in/./dot.mp4"):
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=b"x")
    expected = ["__/__/etc/x.mp4", "dot.mp4", "double.mp4"]
    assert relatives([f"{s3.url}/in/"], s3.options()) == expected
    assert relatives([f"{s3.url}/in/**"], s3.options()) == expected
    (entry,) = find_sources([f"{s3.url}/in//double.mp4"], s3.options())
    with staged(entry.url, s3.options()) as path:
        assert path.read_bytes() == b"x"


def test_a_name_of_two_lines_is_one_line_to_people(tmp_path: Path) -> None:
    (tmp_path / "two\nlines.mp4").touch()
    assert relatives([str(tmp_path)]) == ["two_lines.mp4"]
    with pytest.raises(SourceError, match=r"two\?none\.mp4: is not there"):
        find_sources([str(tmp_path / "two\nnone.mp4")])


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "clip[1].mp4").touch()
    (tmp_path / "clip1.mp4").touch()
    assert relatives([str(tmp_path / "clip[1].mp4")]) == ["clip[1].mp4"]


def test_a_link_that_leads_round_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "round").symlink_to(tmp_path)
    assert relatives([str(tmp_path)]) == ["a.mp4"]


def test_an_unknown_scheme_says_what_is_possible() -> None:
    with pytest.raises(UsageError, match="no storage for this kind of URL"):
        find_sources(["warp://x/*.mp4"])


def test_a_folder_that_may_not_be_read_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    """Root may read everything, so somebody else looks."""
    closed = tmp_path / "in" / "closed"
    closed.mkdir(parents=True)
    (tmp_path / "in" / "a.mp4").touch()
    closed.chmod(0)
    code = (
        "import os, sys; from facefx.storage import find_sources\n"
        "if not os.geteuid(): os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: find_sources([sys.argv[1]])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp") and folder != Path("/tmp") and os.geteuid() == 0:
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "in")], capture_output=True, text=True)
    assert done.stdout.startswith("SourceError"), done.stderr
    assert f"{closed}: cannot be listed" in done.stdout
