"""Cards of nets: a wrong one is told at the start, and a right one is pinned."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effect_makers import painted, skin, stream
from net_makers import SIZE, someone, spec, write_card, write_net

from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect, EffectSpec
from facefx.effects.registry import effect_class, make_effect, parse_effect
from facefx.errors import EffectError, FacefxError, ModelError
from facefx.pipeline.nets import Nets, check_nets, make_chain
from facefx.pipeline.plan import needs_landmarks


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"licence": None}, "licence"),
        ({"source": None}, "source"),
        ({"size": 4}, "size"),
        ({"template": "vgg"}, "template"),
        ({"template": {"left_eye": [0.3, 0.4]}}, "two points"),
        ({"template": {"left_eye": [0.3, 0.4], "third_eye": [0.6, 0.4]}}, "third_eye"),
        ({"input": {"range": [1, 0]}}, "low first"),
        ({"output": {"std": 0}}, "no zero"),
        ({"sha256": "abc"}, "sha256"),
        ({"sha256": "0" * 64}, "wrong sha256"),
        ({"file": "other.onnx"}, "other.onnx cannot be read"),
        ({"colors": "rgb"}, "colors"),
        ({"mask": {"shape": "star"}}, "mask.shape"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_wrong_card_is_one_clear_line_at_the_start(
    wrong: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(EffectError) as caught:
        spec(tmp_path, wrong)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "- a", "a: [", "\x00"], ids=["missing", "list", "broken", "binary"])
def test_what_is_no_card_is_one_clear_line(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(EffectError) as caught:
        parse_effect(f"net:path={path}")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "net",
    [{"shape": (1, 3, 32, 32)}, {"grow": True}, {"shape": (1, 4, SIZE, SIZE)}],
    ids=["small", "grown", "four"],
)
def test_a_net_of_a_wrong_shape_is_one_clear_line_before_any_frame(
    net: dict[str, Any], tmp_path: Path
) -> None:
    chosen = spec(tmp_path, **net)
    with Nets() as nets, pytest.raises(ModelError) as caught:
        check_nets([chosen], nets, "cpu")
    assert "net.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_net_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a net")
    sha256 = hashlib.sha256(b"not a net").hexdigest()
    chosen = EffectSpec.checked("net", {"path": write_card(tmp_path, sha256)})
    with Nets() as nets, pytest.raises(ModelError, match="ONNX"):
        check_nets([chosen], nets, "cpu")


def test_a_card_or_a_net_that_changed_since_the_plan_is_an_error(tmp_path: Path) -> None:
    chosen = spec(tmp_path)
    write_net(tmp_path / "net.onnx", scale=0.5)
    with Nets() as nets, pytest.raises(FacefxError, match="sha256"):
        check_nets([chosen], nets, "cpu")
    write_card(tmp_path, hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest())
    with Nets() as nets, pytest.raises(EffectError, match="changed since the plan"):
        check_nets([chosen], nets, "cpu")


def test_a_plan_names_licence_and_files_and_asks_for_landmarks(tmp_path: Path) -> None:
    chosen = spec(tmp_path)
    assert chosen.params["licence"] == "CC0-1.0"
    assert chosen.params["sha256"] == hashlib.sha256((tmp_path / "net.yaml").read_bytes()).hexdigest()
    assert needs_landmarks([chosen])
    assert effect_class("net").family == "overlay"
    assert EffectSpec.from_json(chosen.to_json()) == chosen


def test_a_net_is_loaded_once_for_many_chains(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = spec(tmp_path)
    with caplog.at_level("INFO", logger="facefx.models"), Nets() as nets:
        for _ in range(3):
            make_chain([chosen], stream(), b"", nets, "cpu")
    assert sum(record.message == "session opened" for record in caplog.records) == 1


def test_nobody_forgets_to_hand_the_net_over(tmp_path: Path) -> None:
    effect: Effect = make_effect(spec(tmp_path))
    with pytest.raises(EffectError, match="load"):
        EffectChain([effect], stream())


def test_a_net_that_gives_no_numbers_is_left_out_and_counted(tmp_path: Path) -> None:
    format = stream()
    planes = skin(format)
    with Nets() as nets:
        chain = make_chain([spec(tmp_path, shift=float("nan"))], format, b"", nets, "cpu")
        after, _ = painted(chain, planes, [someone()])
    assert chain.stats.skipped["net: EffectError"] == 1
    assert np.array_equal(after[0], planes[0])
