"""Effects of one's own: one file and one line of packaging, and everything that lists effects has them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from effect_makers import face, flat, painted, stream

from facefx.cli.app import main
from facefx.effects import registry
from facefx.effects.chain import EffectChain
from facefx.effects.reference import to_markdown
from facefx.effects.registry import effect_class, effect_names, make_effect, parse_effect
from facefx.effects.samples import samples_of
from facefx.errors import EffectError, FacefxError

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "how-to" / "write-an-effect.md").read_text(encoding="utf-8")
# The file that the guide tells its readers to write.
TINT = GUIDE.split("```python\n")[1].split("```")[0]


class Site:
    """A folder on the path, as an installed package is: modules, and what the package declares."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, module: str, code: str) -> None:
        (self.folder / f"{module}.py").write_text(code, encoding="utf-8")

    def declare(self, package: str, *points: str) -> None:
        """points: lines of the group, such as `tint = my_tint`."""
        about = self.folder / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("\n".join((f"[{registry.GROUP}]", *points, "")))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Nothing of it is left afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._classes.cache_clear()
    yield Site(tmp_path)
    monkeypatch.undo()
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    registry._classes.cache_clear()


def test_the_guides_effect_is_found_made_and_run(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write("facefx_tint", TINT)
    site.declare("facefx-tint", "tint = facefx_tint")
    assert "tint" in effect_names()
    chain = EffectChain([make_effect(parse_effect("tint:colour=#0000ff,strength=1"))], stream())
    before = flat(chain.format, (100, 128, 128))
    after, _ = painted(chain, before, [face((20, 20, 60, 60))])
    assert after[1][20, 20] > 200  # bluer in the middle
    assert after[1][2, 2] == 128
    assert chain.stats.first == {}
    assert "## tint" in to_markdown()
    assert samples_of(effect_class("tint"))[-1] == {"strength": 1.0}
    assert main(["effects", "tint", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "tint"


def test_the_guides_effect_is_in_the_gallery(site: Site) -> None:
    from facefx.pipeline.gallery import make_gallery

    site.write("facefx_tint", TINT)
    site.declare("facefx-tint", "tint = facefx_tint")
    made = make_gallery(site.folder / "gallery", ["tint"])
    assert (made.pictures, made.notes) == (4, ())


def test_without_the_line_of_packaging_nothing_is_loaded(site: Site) -> None:
    site.write("facefx_tint", TINT + "\nraise RuntimeError('imported')\n")
    assert "tint" not in effect_names()


def test_a_package_that_does_not_import_is_named(site: Site) -> None:
    site.write("facefx_tint", "import nothing_of_this_name\n")
    site.declare("facefx-tint", "tint = facefx_tint")
    with pytest.raises(EffectError, match=r"tint = facefx_tint: .*NotFoundError.*uninstall facefx-tint"):
        effect_names()


def test_a_line_that_names_no_module_is_refused(site: Site) -> None:
    site.write("facefx_tint", TINT)
    site.declare("facefx-tint", "tint = facefx_tint:Tint")
    with pytest.raises(EffectError, match="expected a module, got ABCMeta"):
        effect_names()


def test_nobody_takes_the_name_of_a_shipped_effect(site: Site) -> None:
    site.write("facefx_tint", TINT.replace('name = "tint"', 'name = "solid"'))
    site.declare("facefx-tint", "tint = facefx_tint")
    with pytest.raises(FacefxError, match="'solid' is defined twice"):
        effect_names()


def test_a_package_that_is_seen_twice_counts_once(site: Site) -> None:
    """An editable installation may show its metadata in two places of the path."""
    site.write("facefx_tint", TINT)
    site.declare("facefx-tint", "tint = facefx_tint")
    site.declare("facefx_tint_again", "again = facefx_tint")
    assert effect_names().count("tint") == 1
