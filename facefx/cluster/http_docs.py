"""/docs: the OpenAPI description as one plain page, which loads nothing from anywhere."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from facefx.pipeline.web_page import page_head

__all__ = ["docs_page"]

_STYLE = """\
:root{color-scheme:light dark}
body{margin:0 auto;padding:2rem 1rem 4rem;max-width:56rem;font:15px/1.55 system-ui,sans-serif}
h2{margin:2.2rem 0 .3rem;font:600 1.05rem/1.4 ui-monospace,Menlo,monospace}
h2 b{display:inline-block;min-width:4.2rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}
code,pre{font:12.5px/1.5 ui-monospace,Menlo,monospace}
pre{overflow:auto;padding:.6rem .8rem;border:1px solid #8884;border-radius:8px}
"""


def docs_page(spec: Mapping[str, Any]) -> str:
    """The page of an OpenAPI description."""
    return "".join(_parts(spec))


def _parts(spec: Mapping[str, Any]) -> Iterator[str]:
    info = spec["info"]
    yield page_head(f"{info['title']} API", _STYLE, "", "'none'")
    yield f"<h1>{_said(info['title'])} API</h1>\n<p>{_said(info.get('description', ''))}</p>\n"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>\n'
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield from _operation(path, method, operation)
    yield "</body></html>\n"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><b>{_said(method.upper())}</b> {_said(path)}</h2>\n"
    for paragraph in operation.get("description", operation.get("summary", "")).split("\n\n"):
        yield f"<p>{_said(paragraph)}</p>\n"
    rows = [
        (f"{one['name']} ({one['in']})", one.get("description") or _type(one.get("schema", {})))
        for one in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {})
    rows += [("body", ", ".join(body))] if body else []
    rows += [(code, one["description"]) for code, one in operation["responses"].items()]
    cells = "".join(f"<tr><td><code>{_said(a)}</code></td><td>{_said(b)}</td></tr>\n" for a, b in rows)
    yield f"<table>{cells}</table>\n"
    schema = body.get("application/json", {}).get("schema")
    if schema:
        yield f"<pre>{_said(json.dumps(schema, indent=1))}</pre>\n"


def _type(schema: Mapping[str, Any]) -> str:
    kinds = [schema, *schema.get("anyOf", ())]
    return " or ".join(str(kind.get("enum") or kind["type"]) for kind in kinds if "type" in kind)


def _said(text: object) -> str:
    return html.escape(str(text))
