"""POST /v1/images: what comes out, what is refused and how soon, and what waits."""

from __future__ import annotations

import asyncio
import random
import resource
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from http_makers import BEARER, ask, client, http_settings
from photo_makers import FACE, brightest, change, coded, core, empty_scene, exif, portrait, turned, with_exif

from facefx.cluster.http_api import make_api
from facefx.cluster.http_images import LocalImages
from facefx.pipeline.image_service import ImageAnswer, ImageRequest, ImageService, ImageSettings

SOON_S = 2.0


@pytest.fixture(scope="module")
def service() -> Iterator[ImageService]:
    with ImageService(ImageSettings(detector="blazeface")) as service:
        yield service


@pytest.fixture(scope="module")
def app(service: ImageService) -> FastAPI:
    return make_api(LocalImages(service, 64), None, http_settings())


def send(app: FastAPI, data: bytes, media: str = "image/jpeg", **more: object) -> httpx.Response:
    return ask(app, "POST", "/v1/images", content=data, headers={"Content-Type": media}, params=more)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize(
    ("suffix", "media"), [(".jpg", "image/jpeg"), (".png", "image/png"), (".webp", "image/webp")]
)
def test_a_face_is_hidden_in_every_kind_and_the_rest_is_left_alone(
    app: FastAPI, suffix: str, media: str
) -> None:
    source = coded(portrait(), suffix)
    answer = send(app, source, media)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.headers["x-facefx-faces"] == "1"
    assert "detect;dur=" in answer.headers["server-timing"]
    after = pixels(answer.content)
    assert brightest(after, core(after, [FACE])) < 40
    away = ~core(after, [(FACE[0] - 80, FACE[1] - 100, FACE[2] + 80, FACE[3] + 100)])
    assert change(pixels(source), after, away) <= {".jpg": 6, ".png": 0, ".webp": 40}[suffix]


def test_an_asked_kind_is_answered(app: FastAPI) -> None:
    answer = send(app, coded(portrait()), format="png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


def test_orientation_and_description_come_through_and_a_small_copy_of_the_face_does_not(app: FastAPI) -> None:
    stored = coded(turned(portrait(), 6))
    answer = send(app, with_exif(stored, exif(6, thumbnail=True, text="a holiday")))
    assert answer.headers["x-facefx-faces"] == "1"
    assert b"a holiday" in answer.content
    assert answer.content.count(b"\xff\xd8\xff") == 1, "a second picture is in the file"
    shown = pixels(answer.content)
    assert shown.shape == portrait().shape, "a viewer no longer turns it upright"
    assert brightest(shown, core(shown, [FACE])) < 40
    stripped = send(app, with_exif(stored, exif(6, text="a holiday")), metadata="strip")
    assert b"a holiday" not in stripped.content
    assert pixels(stripped.content).shape == portrait().shape


def test_a_picture_without_faces_comes_back_byte_for_byte(app: FastAPI) -> None:
    source = coded(empty_scene())
    answer = send(app, source)
    assert answer.content == source
    assert answer.headers["x-facefx-faces"] == "0"


def test_effects_are_read_as_json_as_text_and_from_a_header(app: FastAPI) -> None:
    source = coded(portrait(), ".png")
    as_json = send(app, source, "image/png", effects='[{"pixelate": {"cells": 6}}]').content
    as_text = send(app, source, "image/png", effect="pixelate:cells=6").content
    header = {"Content-Type": "image/png", "X-Facefx-Effects": '["pixelate:cells=6"]'}
    by_header = ask(app, "POST", "/v1/images", content=source, headers=header).content
    assert as_json == as_text == by_header
    assert as_json != send(app, source, "image/png").content


def test_the_same_request_gives_the_same_bytes_whatever_came_between(app: FastAPI) -> None:
    source = coded(portrait())
    first = send(app, source, effect="pixelate").content
    for effect in ("solid", "blur", "smooth", "pixelate:cells=4"):
        send(app, coded(turned(portrait(), 3)), effect=effect)
    assert send(app, source, effect="pixelate").content == first


@pytest.mark.parametrize(
    "effects",
    [
        '["image:path=/etc/passwd"]',
        '[{"lut": {"path": "/etc/hostname"}}]',
        '["@/etc/passwd.yaml"]',
        '["@../../x.yaml"]',
        '["solid:path=/etc/passwd"]',
        '["nothing-of-the-kind"]',
        '[{"pixelate": {"cells": 1e9}}]',
        "[" * 5000,
        "[3]",
        '[{"solid": 7}]',
        str(["solid"] * 40).replace("'", '"'),
    ],
)
def test_effects_that_cannot_be_or_name_a_file_of_the_server_are_refused(app: FastAPI, effects: str) -> None:
    answer = send(app, coded(portrait()), effects=effects)
    assert answer.status_code in (400, 422)
    assert answer.json()["exit_code"] == 2
    assert "root:" not in answer.text


def bomb(width: int, height: int, depth: int, colour: int) -> bytes:
    """A small PNG that says it is large, and whose pixels really unpack to all that."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(32)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (bomb(30_000, 30_000, 8, 6), "image/png"),
        (bomb(16_384, 16_384, 1, 0), "image/png"),
        (b"RIFF\x26\0\0\0WEBPVP8L\x1a\0\0\0\x2f" + b"\xff" * 25 + b"\0", "image/webp"),
    ],
    ids=["30000x30000 PNG", "16k x 16k 1-bit PNG", "16384x16384 WebP"],
)
def test_a_bomb_is_refused_before_it_is_unpacked(app: FastAPI, data: bytes, media: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    answer = send(app, data, media)
    assert answer.status_code == 413, answer.text
    assert answer.json()["kind"] == "TooLargeError"
    assert time.perf_counter() - began < SOON_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10, "it was unpacked"


def test_a_body_that_is_too_long_is_not_read_to_its_end(service: ImageService) -> None:
    app = make_api(LocalImages(service, 4), None, http_settings(max_bytes=100_000))
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 10_000
            yield bytes(10_000)

    async def go() -> httpx.Response:
        async with client(app) as asking:
            return await asking.post("/v1/images", content=endless())

    assert asyncio.run(go()).status_code == 413
    assert read <= 200_000
    assert send(app, bytes(200_000)).status_code == 413  # by its Content-Length


def test_malformed_bodies_are_refused_by_name_and_never_crash(app: FastAPI) -> None:
    """Cut, flipped and mixed photos: each is answered, as a photo or as a mistake of the sender's."""
    chance = random.Random(1)
    sources = [coded(portrait()[:120, :160], suffix) for suffix in (".jpg", ".png", ".webp")]
    seen = set()
    for _ in range(120):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.4:
            del data[chance.randrange(len(data)) :]
        answer = send(app, bytes(data), "application/octet-stream")
        seen.add(answer.status_code)
        assert answer.status_code in (200, 413, 415, 422), (answer.status_code, answer.text)
        if answer.status_code != 200:
            assert set(answer.json()) == {"error", "exit_code", "kind"}
    assert 422 in seen


@pytest.mark.parametrize(
    ("data", "media", "status"),
    [
        (b"", "image/jpeg", 422),
        (b"just text", "image/png", 422),
        (b"GIF89a" + bytes(40), "application/octet-stream", 415),
        (b"x", "text/html", 415),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "application/octet-stream", 415),
    ],
)
def test_what_is_no_photo_is_refused_by_name(app: FastAPI, data: bytes, media: str, status: int) -> None:
    assert send(app, data, media).status_code == status


def test_an_image_too_many_is_answered_503_with_when_to_come_back() -> None:
    began: list[Future[ImageAnswer]] = []

    class Slow:
        def submit(self, request: ImageRequest) -> Future[ImageAnswer]:
            began.append(Future())
            return began[-1]

    images = LocalImages(Slow(), 2)  # type: ignore[arg-type]
    app = make_api(images, None, http_settings(retry_after_s=7))
    done = ImageAnswer(b"done", "jpeg", (1, 1), (), (), "", {})

    async def go() -> list[httpx.Response]:
        async with client(app) as asking:
            waiting = [asyncio.ensure_future(asking.post("/v1/images", content=b"x")) for _ in range(2)]
            while len(began) < 2:
                await asyncio.sleep(0)
            refused = await asking.post("/v1/images", content=b"x")
            for one in began:
                one.set_result(done)
            return [refused, *await asyncio.gather(*waiting)]

    refused, *fine = asyncio.run(go())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
    assert [answer.content for answer in fine] == [b"done", b"done"]
    counts: Mapping[str, float] = images.counts()
    assert counts == {
        "images_total": 2,
        "images_failed_total": 0,
        "images_busy_total": 1,
        "images_waiting": 0,
    }


def test_openapi_says_how_to_send_an_image_and_the_docs_load_nothing(app: FastAPI) -> None:
    spec = ask(app, "GET", "/openapi.json").json()
    operation = spec["paths"]["/v1/images"]["post"]
    assert set(operation["requestBody"]["content"]) == {"image/jpeg", "image/png", "image/webp"}
    assert {"200", "401", "413", "415", "422", "503"} <= set(operation["responses"])
    docs = ask(app, "GET", "/docs").text
    assert "/v1/images" in docs
    assert "http://" not in docs.replace("http://www.w3.org", "")
    assert "https://" not in docs
    assert BEARER["Authorization"] not in docs
