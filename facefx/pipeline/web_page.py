"""What our HTML pages begin with: they name nothing of another place, and run their own script only."""

from __future__ import annotations

import base64
import hashlib
import html

__all__ = ["page_head"]


def page_head(title: str, style: str, script: str, images: str, more: str = "") -> str:
    """A page up to the start of its body.

    style, script: texts; the script must stand in the body just so, for it is let run by its hash. images:
    sources of the Content-Security-Policy. more: further elements of the head, as HTML. The title is escaped.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src {images}; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">{more}\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style></head><body>\n"
    )
