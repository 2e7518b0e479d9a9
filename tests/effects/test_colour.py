"""A colour is the same to the eye in every matrix, range and depth."""

from __future__ import annotations

import numpy as np
import pytest

from facefx.effects.colour import codes, image_codes, parse_colour
from facefx.values import Color

COLORS = [
    Color("bt601"),
    Color("bt709"),
    Color("bt709", full_range=True),
    Color("bt709", depth=10),
    Color("bt2020", depth=10, full_range=True),
]


@pytest.mark.parametrize("text", ["blurple", "#12", "#12345g", "", "#1234567"])
def test_an_unknown_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected #rrggbb"):
        parse_colour(text)


@pytest.mark.parametrize("color", COLORS, ids=str)
def test_a_picture_and_a_colour_are_converted_alike(color: Color) -> None:
    for text, rgb in (("#ff8000", (1.0, 128 / 255, 0.0)), ("black", (0, 0, 0)), ("white", (1, 1, 1))):
        picture = image_codes(np.full((2, 3, 3), rgb, np.float32), color)
        assert np.rint(picture[1, 1]).tolist() == list(codes(text, color))


def test_black_is_not_zero_in_limited_range() -> None:
    assert codes("black", Color("bt709")) == (16, 128, 128)
    assert codes("black", Color("bt709", depth=10)) == (64, 512, 512)
    assert codes("black", Color("bt709", full_range=True)) == (0, 128, 128)


def test_white_does_not_blind_in_hdr() -> None:
    """Source: ITU-R BT.2408-7 table 1: SDR white is at 58 % of PQ and 75 % of HLG."""
    for transfer, level in ((16, 0.58), (18, 0.75)):
        color = Color("bt2020", depth=10, primaries=9, transfer=transfer)
        y, u, v = codes("white", color)
        assert (y - 64) / 876 == pytest.approx(level, abs=0.01)
        assert (u, v) == pytest.approx((512, 512), abs=2)
        assert codes("black", color) == (64, 512, 512)


def test_red_is_not_more_saturated_on_wide_primaries() -> None:
    narrow, wide = Color("bt2020"), Color("bt2020", primaries=9, transfer=14)
    assert abs(codes("red", wide)[2] - 128) < abs(codes("red", narrow)[2] - 128)
