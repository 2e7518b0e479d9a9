"""The documents cannot drift: README's code runs, every command is described, every link leads somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest

from facefx.cli.app import app, main
from facefx.cli.reference import commands, reference

ROOT = Path(__file__).resolve().parent.parent
NOT_RUN = "<!-- not run: "
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@dataclass(frozen=True)
class Block:
    """A fenced block of a document; `skip` is the reason that its marker gives for not running it."""

    language: str
    code: str
    line: int
    skip: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text; a marker stands on the line before the fence."""
    found: list[Block] = []
    lines = text.splitlines()
    opened: int | None = None
    for i, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = i
            continue
        before = lines[opened - 1] if opened else ""
        skip = before.removeprefix(NOT_RUN).removesuffix("-->").strip() if before.startswith(NOT_RUN) else ""
        found.append(Block(lines[opened][3:].strip(), "\n".join(lines[opened + 1 : i]), opened + 1, skip))
        opened = None
    return found


def links(text: str) -> list[str]:
    """Targets of the Markdown links that lead to a file of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos and photos of one's own, as the README assumes."""
    folder = tmp_path_factory.mktemp("readme")
    assert main(["demo", "--clip-only", "--folder", str(folder)]) == 0
    (folder / "videos" / "day").mkdir(parents=True)
    for video in (folder / "videos" / "one.mp4", folder / "videos" / "day" / "two.mp4"):
        shutil.copy(folder / "in.mp4", video)
    portrait = resources.files("facefx").joinpath("assets", "portrait.jpg").read_bytes()
    (folder / "photos").mkdir()
    for photo in (folder / "photo.jpg", folder / "photos" / "one.jpg"):
        photo.write_bytes(portrait)
    return folder


def run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block as a reader would, with facefx of this environment first on the path."""
    if block.language == "python":
        command = [sys.executable, "-W", "error", "-c", block.code]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.code]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


README = [block for block in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if block.language]


# In the order of the README, in one folder: a later block may use what an earlier one made.
@pytest.mark.parametrize("block", [b for b in README if not b.skip], ids=lambda b: f"line{b.line}")
def test_the_code_of_the_readme_runs(block: Block, workplace: Path) -> None:
    assert block.language in {"bash", "python"}, f"README line {block.line}: how is {block.language!r} run?"
    done = run(block, workplace)
    assert done.returncode == 0, f"README line {block.line}: exit {done.returncode}\n{done.stderr}"


def test_code_is_left_out_only_where_it_installs() -> None:
    assert {block.skip for block in README} <= {"", "installs"}
    for block in README:
        if block.skip:
            assert all(re.match(r"(make|git|cd|source|pip) ", line) for line in block.code.splitlines())


def test_the_reader_of_code_blocks_sees_every_block_and_every_failure(tmp_path: Path) -> None:
    text = "a\n```bash\nfalse | true\n```\n<!-- not run: installs -->\n```bash\nmake x\n```\n"
    text += "```python\n1/0\n```\n"
    first, second, third = blocks(text)
    assert (first.language, first.code, first.line, first.skip) == ("bash", "false | true", 2, "")
    assert (second.code, second.skip) == ("make x", "installs")
    assert run(first, tmp_path).returncode != 0
    assert run(third, tmp_path).returncode != 0


def test_the_command_reference_is_the_commands_own() -> None:
    """`make docs` writes it again; the page of the effects is compared in tests/effects."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(app)


@pytest.mark.parametrize("name", commands(app))
def test_every_command_and_option_has_help_and_an_example(name: str) -> None:
    command = commands(app)[name]
    assert command.help, f"{name} has no help"
    assert f"Example: facefx {name}" in " ".join(command.help.split())
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    lost = [
        target
        for target in links(document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert lost == []


def test_lost_links_are_seen() -> None:
    assert links("[a](b.md) [c](https://d.e/f) [g](h.md#i) ![j](k.png)") == ["b.md", "h.md", "k.png"]


def test_every_command_that_the_readme_calls_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    called = set(re.findall(r"\bfacefx ([a-z]+)\b", "\n".join(block.code for block in README)))
    assert called
    assert called <= {name.split()[0] for name in commands(app)}
    assert "make demo" in text
    assert "make test" in text


def test_the_exit_codes_of_the_readme_are_the_real_ones() -> None:
    from facefx.errors import ExitCode

    rows = re.findall(
        r"^\| ([\d, ]+) \| [a-z]", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(int(code) for row in rows for code in row.split(",")) == sorted(map(int, ExitCode))
