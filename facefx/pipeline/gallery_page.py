"""The gallery as one HTML page that opens from disk, on a phone too; it loads nothing from anywhere."""

from __future__ import annotations

import base64
import html
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import facefx
from facefx.effects.effect import FAMILIES, Effect
from facefx.effects.reference import ParamInfo, describe
from facefx.pipeline.web_page import page_head

__all__ = ["FAMILY_TITLES", "Card", "Picture", "Stage", "gallery_page"]

Picture = NDArray[np.uint8]

_HERE = Path(__file__)
_QUALITY = 88
FAMILY_TITLES = {
    "geometry": "Shape",
    "colour": "Skin, features and make-up",
    "overlay": "Laid over the face",
    "privacy": "Hiding faces",
    "": "Presets",
}


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One setting. text: as a command line asks for it. changed: pixels. wrong: what failed, or nothing."""

    text: str
    file: str
    picture: Picture
    changed: int
    wrong: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """An effect, or a preset, whose family is empty. lacks: parameters that only a user can give."""

    name: str
    family: str
    summary: str
    caution: str
    needs: tuple[str, ...]
    params: tuple[ParamInfo, ...]
    chain: str
    stages: tuple[Stage, ...]
    lacks: tuple[str, ...]

    @classmethod
    def of(
        cls,
        name: str,
        effect: type[Effect] | None,
        about: str,
        chain: str,
        stages: tuple[Stage, ...],
        lacks: tuple[str, ...],
    ) -> Card:
        """A card with what the effect says of itself; of a preset, what `about` and `chain` say."""
        if effect is None:
            return cls(name, "", about, "", (), (), chain, stages, lacks)
        told = describe(effect)
        return cls(
            name, told.family, told.summary, told.caution, told.needs, told.params, chain, stages, lacks
        )


def gallery_page(cards: Sequence[Card], before: Picture, about: str) -> str:
    """The whole document. about: what the photo is."""
    return "".join(_document(cards, before, about))


def _document(cards: Sequence[Card], before: Picture, about: str) -> Iterator[str]:
    style = _HERE.with_name("gallery.css").read_text(encoding="utf-8")
    script = _HERE.with_name("gallery.js").read_text(encoding="utf-8")
    # Once for all: each picture after lies on the one before.
    style += f"\n.pair{{background-image:url({_data(before)})}}"
    yield page_head("facefx: what each effect does", style, script, "data:")
    yield (
        "<header><h1>What each effect does</h1>\n"
        f'<p class="muted">facefx {_said(facefx.__version__)}, on {_said(about)}. '
        '<span class="hint">Move across a picture to see it before and after.</span></p>\n'
    )
    groups = [(family, [card for card in cards if card.family == family]) for family in (*FAMILIES, "")]
    groups = [(family, group) for family, group in groups if group]
    yield f"{_contents(groups)}</header>\n<main>\n"
    area = before.shape[0] * before.shape[1]
    for family, group in groups:
        yield f'<h2 id="{family or "presets"}">{FAMILY_TITLES[family]}</h2>\n'
        for card in group:
            yield from _card(card, area)
    yield f"</main>\n<script>{script}</script>\n</body></html>\n"


def _contents(groups: Iterable[tuple[str, Sequence[Card]]]) -> str:
    lines = []
    for family, group in groups:
        links = " ".join(f'<a href="#{_anchor(card)}">{_said(card.name)}</a>' for card in group)
        lines.append(
            f'<p><a class="family" href="#{family or "presets"}">{FAMILY_TITLES[family]}</a> {links}</p>\n'
        )
    return f"<nav>\n{''.join(lines)}</nav>\n"


def _anchor(card: Card) -> str:
    return f"{'effect' if card.family else 'preset'}-{_said(card.name.lstrip('@'))}"


def _card(card: Card, area: int) -> Iterator[str]:
    needs = f'<span class="needs">needs {_said(", ".join(card.needs))}</span>' if card.needs else ""
    yield f'<article id="{_anchor(card)}">\n<h3>{_said(card.name)} {needs}</h3>\n'
    yield f"<p>{_said(card.summary)}</p>\n"
    if card.chain:
        yield f'<p class="muted">{_said(card.chain)}</p>\n'
    if card.caution:
        yield f'<p class="caution"><strong>Caution.</strong> {_said(card.caution)}</p>\n'
    if card.lacks:
        given = ",".join(f"{name}=…" for name in card.lacks)
        yield (
            f'<p class="muted">Not shown: it needs a file of your own, '
            f"<code>facefx gallery OUT --effect {_said(f'{card.name}:{given}')}</code>.</p>\n"
        )
    if card.stages:
        yield '<div class="stages">\n'
        yield '<figure><div class="pair"></div><figcaption>before</figcaption></figure>\n'
        for stage in card.stages:
            yield _stage(stage, card, area)
        yield "</div>\n"
    if card.params:
        yield _params(card.params)
    yield "</article>\n"


def _stage(stage: Stage, card: Card, area: int) -> str:
    short = stage.text.removeprefix(card.name).removeprefix(":").replace("\\,", "\0").replace(",", ", ")
    short = short.replace("\0", ",") or ("as it comes" if card.family else card.chain)
    command = shlex.join(["facefx", "run", "in.mp4", "out.mp4", "--effect", stage.text])
    count = f"{stage.changed:,}".replace(",", "\u00a0")
    said = f"{count} px changed, {100 * stage.changed / area:.1f} % of the picture"
    wrong = f'<span class="wrong">{_said(stage.wrong)}</span>' if stage.wrong else ""
    return (
        f'<figure><div class="pair"><img src="{_data(stage.picture)}" alt="{_said(stage.text)}" '
        f'width="{stage.picture.shape[1]}" height="{stage.picture.shape[0]}"></div>'
        f"<figcaption><strong>{_said(short)}</strong> {wrong}"
        f'<span class="muted">{said}</span><code>{_said(command)}</code></figcaption></figure>\n'
    )


def _params(params: Iterable[ParamInfo]) -> str:
    rows = "".join(
        f"<tr><td><code>{_said(param.name)}</code></td><td>{_said(param.type)} {_said(param.range)}</td>"
        f"<td>{_said('required' if param.required else param.default)}</td>"
        f"<td>{_said(param.description)}</td></tr>\n"
        for param in params
    )
    return (
        "<details><summary>parameters</summary><table><thead><tr><th>name</th><th>values</th><th>default</th>"
        f"<th>meaning</th></tr></thead><tbody>\n{rows}</tbody></table></details>\n"
    )


def _data(picture: Picture) -> str:
    """A picture as an address that holds all of it."""
    fine, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert fine, "eight-bit pictures of this size always fit into a JPEG"
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _said(text: object) -> str:
    return html.escape(str(text))
