"""The report tells the truth about an archive, whatever its files are called and however many there are."""

from __future__ import annotations

import re
import stat
import time
import tracemalloc
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from record_makers import COST, NET, done, given_up, run_facts

from facefx.archive.records import CommitRecord, RunFacts
from facefx.archive.report import write_report
from facefx.archive.report_parts import amount
from facefx.archive.report_video import Beside
from facefx.errors import SinkError
from facefx.pipeline.faces_count import Passage

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """The page as a browser takes it apart: its tags, its text, its links, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def page_of(
    tmp_path: Path, records: Iterable[CommitRecord], run: RunFacts | None = None, beside: Beside | None = None
) -> Page:
    path = tmp_path / "report.html"
    write_report(path, run or run_facts(), records, beside)
    return Page(path.read_text(encoding="utf-8"))


def renamed(record: CommitRecord, name: str) -> CommitRecord:
    output = None if record.output is None else replace(record.output, relative=name, url=f"s3://out/{name}")
    return replace(record, source=replace(record.source, relative=name, url=f"s3://in/{name}"), output=output)


EVIL = (
    "<script>alert(1)</script>.mp4",
    '"><img src=x onerror=alert(1)>.mp4',
    "' onmouseover='alert(1).mp4",
    "javascript:alert(1).mp4",
    "</style></details><h1>x.mp4",
    "a&lt;b&amp;.mp4",
    "\u202egpj.exe\u202c.mp4",
    "a\x1b]0;x\x07.mp4",
    "caf\udce9.mp4",
    "a#t=5?b%20c.mp4",
    "-->]]>{{7*7}}${x}.mp4",
)


@pytest.mark.parametrize("name", EVIL)
def test_a_files_name_is_text_and_nothing_else(tmp_path: Path, name: str) -> None:
    plain = page_of(tmp_path, [done(), given_up()])
    evil = page_of(
        tmp_path,
        [
            replace(renamed(done(), name), notes=(name,), versions={name: name}, plan_sha256=name),
            replace(
                renamed(given_up(), name), reason=name, kind=name, where=name, run=replace(COST, log=name)
            ),
        ],
        run_facts(
            target=name, sources=(name,), recipe={"config": {"effects": [{name: {name: name}}]}}, lanes=name
        ),
    )
    assert len(evil.of("script")) == len(plain.of("script")) == 1
    assert {tag for tag, _ in evil.tags} <= {tag for tag, _ in plain.tags}
    assert not [key for _, attrs in evil.tags for key in attrs if key.startswith("on")]
    assert len(evil.of("h1")) == 1
    hrefs = [attrs["href"] or "" for attrs in evil.of("a")]
    assert [href for href in hrefs if re.search(r"[#?](?!t=\d)|#t=5", href)] == []
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert {char for char in text if unicodedata.category(char) == "Cc"} <= {"\n", "\t"}
    assert [href for href in hrefs if not re.match(r"(\.\./|manifest\.parquet$)", href)] == []


def test_the_page_loads_nothing_from_anywhere_and_runs_only_its_own_script(tmp_path: Path) -> None:
    page = page_of(tmp_path, [done()])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"https?://|//[a-z]+\.[a-z]", text) == []
    assert "url(" not in text
    assert "@import" not in text
    assert [attrs for attrs in page.of("script") if attrs] == []
    assert page.of("link") == []
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", policy)


def test_an_auditor_finds_what_was_done_and_with_what(tmp_path: Path) -> None:
    text = page_of(tmp_path, [done(), given_up()]).text
    for fact in (
        "1 of 2 videos done, 1 given up",
        "Exit code 5: some videos were not done",
        "solid (color black)",
        NET.name, NET.sha256, NET.licence,
        "dd" * 32, "cc" * 32,  # the recipe, the plan
        "aa" * 32, "bb" * 32,  # both files
        "facefx 0.1.0",
        "removed cover art",
    ):  # fmt: skip
        assert fact in text


def test_what_was_given_up_says_why_and_where(tmp_path: Path) -> None:
    text = page_of(tmp_path, [done(), given_up()]).text
    assert "115 of 180 frames decode" in text
    assert "DamagedError · clip.mp4: segment 3 of 9" in text
    assert "Traceback line 7 DamagedError" in text


@pytest.mark.parametrize(("code", "said"), [(0, "every video is done"), (143, "told to end"), (99, "99.")])
def test_the_exit_code_is_the_one_that_the_shell_got(tmp_path: Path, code: int, said: str) -> None:
    text = page_of(tmp_path, [done()], run_facts(exit_code=code, videos=1)).text
    assert f"Exit code {code}" in text
    assert said in text


def test_videos_that_nobody_came_to_are_counted_as_such(tmp_path: Path) -> None:
    text = page_of(tmp_path, [done(0), done(1)], run_facts(videos=10, exit_code=130)).text
    assert "2 of 10 videos done, 8 not begun" in text


def test_what_a_person_should_look_at_comes_in_order_of_need_with_times(tmp_path: Path) -> None:
    calm = done(0, review=(Passage("long_fill", 61.0, 61.6, 1, 0.6),), review_more=0)
    bad = done(1, review=(Passage("low_confidence", 3725.0, 3726.0, 7, 0.21),), review_more=0)
    page = page_of(tmp_path, [calm, done(2, review=(), review_more=0), bad])
    links = [a["href"] for a in page.of("a") if "#t=" in (a["href"] or "")]
    assert links[:2] == ["../day/clip_00001.mp4#t=3724.0", "../day/clip_00000.mp4#t=60.0"]
    assert "1:02:05.0 – 1:02:06.0barely a face, confidence 0.217" in page.text
    assert "A person should look at 2 passages in 2 videos" in page.text
    none = page_of(tmp_path, [done(review=(), review_more=0)])
    assert "Nothing was marked for a person to look at" in none.text


def test_passages_that_a_record_left_out_are_not_forgotten(tmp_path: Path) -> None:
    page = page_of(tmp_path, [done(review_more=4)])
    assert "look at 6 passages in 1 video." in page.text
    assert "4 passages more" in page.text


def test_sheets_are_files_beside_the_page_and_load_when_they_are_seen(tmp_path: Path) -> None:
    page = page_of(tmp_path, [done(3), given_up()], beside=Beside(sheets="s/", outputs="o/", manifest="m.pq"))
    assert [(a["src"], a["loading"]) for a in page.of("img")] == [(f"s/{3:024x}.jpg", "lazy")]
    assert {a["href"] for a in page.of("a")} >= {"m.pq", "o/day/clip_00003.mp4"}


def test_the_worst_comes_first_in_the_list_of_videos(tmp_path: Path) -> None:
    good, unsure = done(0, review=(), review_more=0), done(1)
    text = page_of(tmp_path, [good, unsure, given_up(2)]).text
    listed = text[text.index("All 3 records") :]
    places = [listed.index(f"clip_{number:05d}") for number in (2, 1, 0)]
    assert places == sorted(places)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    page_of(tmp_path, [done()])
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o600


def test_an_archive_of_thousands_stays_usable(tmp_path: Path) -> None:
    began = time.process_time()
    page = tmp_path / "report.html"
    write_report(page, run_facts(videos=5500), (done(i) for i in range(5500)))
    took = time.process_time() - began
    text = page.read_text(encoding="utf-8")
    assert text.count('<details class="video') == 5000
    assert f"All {amount(5500)} records" in text
    assert f"Here are {amount(5000)} of them" in text
    assert len(text) < 20_000_000
    assert took < 20


def test_memory_grows_neither_with_the_archive_nor_with_what_the_page_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facefx.archive.report.MOST_VIDEOS", 50)

    def peak(count: int) -> int:
        records = (
            done(i, details={"x": f"{i}" * 20_000}, run=replace(COST, log="z" * 8000)) for i in range(count)
        )
        tracemalloc.start()
        write_report(tmp_path / "report.html", run_facts(videos=count), records)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(600) < 1.3 * peak(200) < 5_000_000


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="missing"):
        write_report(tmp_path / "missing" / "report.html", run_facts(), [done()])
