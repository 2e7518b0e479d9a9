"""What effects that show a picture have in common: its parameters, and where the head is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from facefx.effects.animation import Animation, read_animation, sha256_of_asset
from facefx.effects.effect import Effect, EffectParams
from facefx.effects.files import pinned_path
from facefx.effects.pose import Pose, View, pose_of
from facefx.values import Face, StreamFormat

__all__ = ["AssetEffect", "AssetParams", "ramp"]


class AssetParams(EffectParams):
    """Parameters of an effect that shows a picture or an animation."""

    path: Annotated[str, WithJsonSchema({"type": "string", "format": "path"})] = Field(
        min_length=1,
        description="A PNG, JPEG, WebP, GIF or APNG file with alpha, upright as viewers see it; a folder of "
        "numbered pictures; or builtin:NAME.",
    )
    sha256: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="Of that asset; filled in when the plan is made, so that a changed one is an error.",
    )
    fps: float = Field(
        25.0, gt=0, le=240, description="Pictures a second of a folder; files tell it themselves."
    )
    opacity: float = Field(1.0, ge=0.0, le=1.0, description="0 changes nothing, 1 lays it on as it is.")
    mirror: bool = Field(False, description="Show it as in a mirror.")


class AssetEffect(Effect):
    """An effect that shows an asset where the head is. Without landmarks there is no head."""

    family = "overlay"
    needs = frozenset({"box", "landmarks"})
    params: AssetParams

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Fix the asset by its sha256 and its absolute path.

        Raises EffectError where it cannot be used.
        """
        assert isinstance(params, AssetParams)
        path = pinned_path(params.path)
        sha256 = params.sha256 or sha256_of_asset(path, cls.name)
        read_animation(path, cls.name, sha256, params.fps)
        return params.model_copy(update={"path": path, "sha256": sha256})

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Learn how the stream is shown."""
        super().prepare(format, seed)
        self.view = View.of(format)

    def read(self) -> Animation:
        """The asset.

        Raises EffectError where it is not the one that was pinned.
        """
        params = self.params
        return read_animation(params.path, self.name, params.sha256, params.fps)

    def pose(self, face: Face) -> Pose | None:
        """Where the head is; None for one that is too small."""
        return pose_of(face, self.view, self.shared)


def ramp(value: float, low: float, high: float) -> float:
    """0 up to low, 1 from high on, smoothly between.

    >>> ramp(0.5, 0, 1), ramp(7, 0, 1)
    (0.5, 1.0)
    """
    part = min(max((value - low) / (high - low), 0.0), 1.0)
    return part * part * (3 - 2 * part)
