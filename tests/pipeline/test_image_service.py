"""Photos in memory: the bytes of StillRunner, from any thread, within bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from photo_makers import coded, empty_scene, exif, portrait, put, settings, turned, with_exif

from facefx.errors import ConfigError, EffectError, SourceError, TooLargeError, UnsupportedError
from facefx.faces.detector import Detector, DetectorSpec, make_detector
from facefx.faces.yunet import YuNet
from facefx.pipeline import image_service
from facefx.pipeline.image_service import ImageRequest, ImageService, ImageSettings
from facefx.pipeline.stills import StillRunner
from facefx.video.still_fidelity import verify_bytes


@pytest.fixture(scope="module")
def service() -> Iterator[ImageService]:
    with ImageService(ImageSettings(detector="blazeface")) as service:
        yield service


@pytest.mark.parametrize("effect", ["solid", "pixelate:cells=6", "smooth:strength=0.7", "@natural"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_bytes_are_those_that_a_run_over_the_file_gives(
    service: ImageService, tmp_path: Path, suffix: str, effect: str
) -> None:
    source = put(tmp_path / f"in{suffix}", portrait())
    with StillRunner(settings(effect)) as runner:
        runner.run(str(source), str(tmp_path / f"out{suffix}"))
    for _ in range(2):  # made, and kept
        answer = service.process(ImageRequest(source.read_bytes(), (effect,)))
        assert answer.data == (tmp_path / f"out{suffix}").read_bytes()


def test_a_turned_photo_gives_the_bytes_of_a_run_too(service: ImageService, tmp_path: Path) -> None:
    data = with_exif(coded(turned(portrait(), 8)), exif(8, thumbnail=True, text="somebody"))
    source = put(tmp_path / "in.jpg", data)
    with StillRunner(settings("solid", metadata="strip")) as runner:
        runner.run(str(source), str(tmp_path / "out.jpg"))
    answer = service.process(ImageRequest(data, metadata="strip"))
    assert answer.data == (tmp_path / "out.jpg").read_bytes()
    assert any("EXIF" in note for note in answer.notes)


def test_many_threads_get_each_their_own_answer(service: ImageService) -> None:
    effects = ["solid", "pixelate", "blur", "smooth"]
    photo = coded(portrait())
    alone = {effect: service.process(ImageRequest(photo, (effect,))).data for effect in effects}
    with ThreadPoolExecutor(8) as pool:
        asked = [
            (effect, pool.submit(service.process, ImageRequest(photo, (effect,)))) for effect in effects * 6
        ]
    assert all(answer.result().data == alone[effect] for effect, answer in asked)


def test_nets_are_loaded_before_the_first_request_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def noted(spec: DetectorSpec) -> Detector:
        made.append(spec)
        return make_detector(spec)

    monkeypatch.setattr(image_service, "make_detector", noted)
    with ImageService(ImageSettings(detector="blazeface")) as service:
        assert len(made) == 1
        for effect in ("solid", "smooth", "pixelate"):
            service.process(ImageRequest(coded(portrait()), (effect,)))
        assert len(made) == 1


def test_what_is_kept_for_requests_is_bounded(service: ImageService) -> None:
    photo = coded(portrait()[:200, :200])
    for number in range(1, 60):
        service.process(ImageRequest(photo, (f"pixelate:noise={number / 1000}",)))
    assert len(service._chains) <= 32
    for number in range(300):
        service.process(ImageRequest(coded(empty_scene(32, 32)), (f"solid:grow={1 + number / 1000}",)))
    assert len(service._recipes) <= 128


def test_a_detector_that_saw_pictures_of_all_sizes_keeps_buffers_for_few() -> None:
    with ImageService(ImageSettings(detector="yunet")) as service:
        for width in range(64, 1300, 32):
            service.process(ImageRequest(coded(empty_scene(width, 96))))
        (detector,) = service._detectors.values()
        assert isinstance(detector, YuNet)
        assert len(detector._buffers) <= 16
        assert len(detector._cells) <= 16


def test_limits_hold_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("facefx.video.still_source._decoded", never)
    photo = coded(portrait())
    for limit, said in (({"max_pixels": 10_000}, "512x344"), ({"max_bytes": 1000}, "limit 1000")):
        asked = ImageSettings(detector="blazeface").model_copy(update=limit)
        with ImageService(asked) as service, pytest.raises(TooLargeError, match=said):
            service.process(ImageRequest(photo))


def test_files_of_the_machine_are_named_only_where_that_is_allowed(tmp_path: Path) -> None:
    picture = put(tmp_path / "sticker.png", portrait()[:64, :64])
    request = ImageRequest(coded(portrait()), ({"image": {"path": str(picture)}},))
    with (
        ImageService(ImageSettings(detector="blazeface")) as service,
        pytest.raises(EffectError, match="ships"),
    ):
        service.process(request)
    with ImageService(ImageSettings(detector="blazeface", files=True)) as service:
        assert service.process(request).data != request.data


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", SourceError), (b"text", SourceError), (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", UnsupportedError)],
)
def test_what_is_no_photo_leaves_the_service_working(
    service: ImageService, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        service.process(ImageRequest(data))
    assert service.busy_s == 0
    assert service.process(ImageRequest(coded(empty_scene()))).boxes == ()


def test_a_lossy_webp_is_always_held_against_its_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its quality is found by that; a JPEG has one way to be coded, and is verified where it is asked for."""
    seen: list[str] = []

    def noted(promise: object, data: bytes, path: Path) -> object:
        seen.append(promise.target)  # type: ignore[attr-defined]
        return verify_bytes(promise, data, path)  # type: ignore[arg-type]

    monkeypatch.setattr(image_service, "verify_bytes", noted)
    asked = ImageSettings(detector="blazeface")
    for settings_, expected in (
        (asked, {"webp"}),
        (asked.model_copy(update={"verify": True}), {"webp", "jpeg"}),
    ):
        seen.clear()
        with ImageService(settings_) as service:
            for suffix in (".webp", ".jpg"):
                service.process(ImageRequest(coded(portrait(), suffix)))
        assert set(seen) == expected


def test_settings_that_cannot_be_fail_when_it_is_made_and_leave_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ConfigError):
        ImageService(ImageSettings(detector="nothing"))
    with pytest.raises(EffectError):
        ImageService(ImageSettings(effects=("nothing",), detector="blazeface"))
    assert threading.active_count() == before


def test_a_request_shows_no_pixels_when_it_is_printed() -> None:
    request = replace(ImageRequest(b"secret pixels"), select="largest")
    assert "secret" not in repr(request)
