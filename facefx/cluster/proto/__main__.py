"""`python -m facefx.cluster.proto`: write the generated messages anew."""

from __future__ import annotations

from facefx.cluster.proto.generate import FOLDER, generate

for name, text in generate().items():
    (FOLDER / name).write_text(text, encoding="utf-8")
