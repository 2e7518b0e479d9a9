"""Face effects on video at scale: find every face, change its pixels, leave the rest untouched."""

__version__ = "0.1.0"

__all__ = ["__version__"]
