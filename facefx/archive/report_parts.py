"""Pieces of HTML and words for figures; whatever comes from a file is escaped here and nowhere else."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from facefx.pipeline.web_page import page_head

__all__ = [
    "amount", "bulk", "facts", "lasting", "link", "page", "plain_json", "plural", "said", "table", "when",
]  # fmt: skip

_HERE = Path(__file__)
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def said(text: object) -> str:
    """Text from outside as HTML that only shows it: escaped, its controls spelt out, its direction its own.

    >>> said("<script>")
    '<bdi>&lt;script&gt;</bdi>'
    """
    return f"<bdi>{_escaped(str(text))}</bdi>"


def _escaped(text: str) -> str:
    return html.escape(_shown(text))


def _shown(text: str) -> str:
    return "".join(char if _shows(char) else f"\\u{ord(char):04x}" for char in text)


def _shows(char: str) -> bool:
    return char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")


def link(folder: str, relative: str, words: str, after: str = "") -> str:
    """A link to a file near the report; words are HTML already.

    >>> link("../", 'a "b".mp4', "b")
    '<a href="../a%20%22b%22.mp4">b</a>'
    """
    address = quote(folder + relative, safe="/.", errors="surrogateescape") + after
    return f'<a href="{html.escape(address)}">{words}</a>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; a head that begins with "#" is of numbers."""
    names = [name.lstrip("#") for name in head]
    marks = [' class="n"' if name.startswith("#") else "" for name in head]
    top = "".join(f"<th{mark}>{name}</th>" for mark, name in zip(marks, names, strict=True))
    marks = [f'{mark} data-name="{name}"' for mark, name in zip(marks, names, strict=True)]
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, row, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f'<table class="wide"><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table>\n'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values, which are HTML already; a value that is empty is left out."""
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>\n" for name, value in rows if value)
    return f'<table class="facts">{body}</table>\n'


def plain_json(plain: Any, words: str) -> str:
    """Settings as they are, behind a line to open them."""
    text = json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False)
    return f"<details><summary>{words}</summary><pre>{said(text)}</pre></details>\n"


def plural(count: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "video"), plural(12, "video")
    ('1 video', '12 videos')
    """
    return f"{amount(count)} {noun}{'' if count == 1 else 's'}"


def amount(count: float) -> str:
    """A whole number in groups of three, which no line break parts."""
    return f"{count:,.0f}".replace(",", "\u00a0")


def bulk(size: int | None) -> str:
    """Bytes as people say them.

    >>> bulk(1_234_567), bulk(12), bulk(None)
    ('1.2 MB', '12 B', '–')
    """
    if size is None:
        return "–"
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def lasting(seconds: float) -> str:
    """A length of time.

    >>> lasting(3.21), lasting(75), lasting(7384), lasting(400_000)
    ('3.2 s', '1 min 15 s', '2 h 3 min', '111 h')
    """
    whole = round(seconds)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole < 360_000 else f"{amount(whole // 3600)} h"


def when(time: str) -> str:
    """A time of a record, for people.

    >>> when("2026-11-25T12:41:42Z")
    '2026-11-25 12:41:42 UTC'
    """
    return time.replace("T", " ").replace("Z", " UTC")


def page(title: str, body: Iterable[str]) -> Iterable[str]:
    """The document, in pieces. It names nothing of another place, and runs no script but its own."""
    style = _HERE.with_name("report.css").read_text(encoding="utf-8")
    script = _HERE.with_name("report.js").read_text(encoding="utf-8")
    noindex = '<meta name="robots" content="noindex">'
    yield page_head(_shown(title), style, script, "'self' file:", noindex)
    yield from body
    yield f"<script>{script}</script>\n</body></html>\n"
