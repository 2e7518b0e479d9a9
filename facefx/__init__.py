"""Face effects on video at scale: find every face, change its pixels, leave the rest untouched.

    facefx.run("in.mp4", "out.mp4", "solid")          one video in, the same video out
    facefx.preview("in.mp4", "smooth", at="0:03")     a frame before and after, in a notebook
    facefx.faces("photo.jpg")                         boxes, landmarks and regions of a photo
    facefx.analyze("in.mp4", "faces.parquet")         every face of a video as an Arrow table
    facefx.render("in.mp4", "faces.parquet", "out.mp4", "pixelate")    without looking again

Each says more in its help. Errors are those of facefx.errors.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facefx.api import analyze, preview, render, run

__version__ = "0.1.0"

__all__ = ["__version__", "analyze", "faces", "preview", "render", "run"]

_LAZY = frozenset({"analyze", "preview", "render", "run"})


def __getattr__(name: str) -> Any:
    """Load the functions when they are first asked for: `import facefx` alone costs nothing."""
    if name in _LAZY:
        return vars(import_module("facefx.api"))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallablePackage(ModuleType):
    """The package facefx.faces, which is also the function facefx.faces(image): both have that name."""

    def __call__(self, image: Any, **settings: Any) -> Any:
        """Find the faces of a photo; see facefx.api.faces."""
        return vars(import_module("facefx.api"))["faces"](image, **settings)


faces = import_module("facefx.faces")
faces.__class__ = _CallablePackage
