"""The page in a real browser: signing in, previews, sliders that act, dropped photos, nothing foreign."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from browser import Browser, chromium
from fastapi import FastAPI
from http_makers import BEARER, TOKEN, FakeRecord, FakeStreams, PlainSettings, http_settings, served
from photo_makers import coded, portrait, put

from facefx.cluster.http_api import make_api
from facefx.cluster.http_images import LocalImages
from facefx.pipeline.image_service import ImageService, ImageSettings

DESK, PHONE = (1280, 900), (390, 800)


@pytest.fixture(scope="module")
def streams() -> FakeStreams:
    photo = coded(portrait())
    return FakeStreams(picture=lambda effects: (photo, photo))


@pytest.fixture(scope="module")
def url(streams: FakeStreams) -> Iterator[str]:
    with ImageService(ImageSettings(detector="blazeface")) as service:
        app: FastAPI = make_api(
            LocalImages(service, 8), streams, http_settings(events_s=0.1), read=PlainSettings.model_validate
        )
        with served(app) as url:
            yield url


@pytest.fixture(scope="module")
def signed_in(url: str) -> Iterator[Browser]:
    with chromium() as browser:
        browser.size(*DESK)
        browser.open(url)
        browser.type("input[name=token]", "another-token")
        browser.click("button.main")
        browser.until(lambda: "not known" in browser.text("[role=alert]"))
        browser.type("input[name=token]", TOKEN)
        browser.click("button.main")
        browser.until(lambda: browser.js("return document.querySelector('#image-effects select') !== null"))
        browser.wrongs()  # the sign-in itself answered 401
        yield browser


@pytest.fixture
def browser(signed_in: Browser, streams: FakeStreams, url: str) -> Browser:
    """The page, loaded anew, with one stream that beautifies and one that hides."""
    streams.records = {
        "studio": FakeRecord(
            "studio", {"source": "rtmp://h/a/b", "effects": [{"smooth": {"strength": 0.3}}]}
        ),
        "news": FakeRecord("news", {"source": "rtmp://h/a/c", "effects": ["solid"], "budget_s": 0.04}),
    }
    streams.calls.clear()
    signed_in.open("about:blank")
    signed_in.open(f"{url}/#studio")
    signed_in.until(lambda: signed_in.text("#stream-name") == "studio")
    return signed_in


def seen(browser: Browser, selector: str) -> bool:
    return bool(
        browser.js(
            "const e = document.querySelector(arguments[0]); return !!e && e.checkVisibility()", selector
        )
    )


def test_a_stream_is_shown_before_and_after_with_the_way_of_its_frames(browser: Browser) -> None:
    loaded = "return ['before', 'after'].every(side => document.getElementById(side).naturalWidth > 0)"
    browser.until(lambda: browser.js(loaded))
    browser.until(lambda: seen(browser, "svg.waterfall"))
    told = browser.js("return document.querySelector('svg.waterfall').getAttribute('aria-label')")
    assert "25 ms from packet in to packet out" in told
    assert "detect 7.1 ms" in told
    assert browser.js("return document.querySelectorAll('.waterfall .work').length") == 5
    ends = browser.js(
        "const bars = [...document.querySelectorAll('.waterfall rect')].map(r => r.getBBox());"
        "return bars.slice(1).map((b, i) => Math.abs(b.x - bars[i].x - bars[i].width))"
    )
    assert max(ends) < 1.5, "a stage does not begin where the one before it ended"
    assert browser.wrongs() == []


def test_a_stream_that_hides_faces_is_never_shown_before(browser: Browser) -> None:
    browser.js("document.querySelectorAll('#stream-list button')[1].click()")
    browser.until(lambda: seen(browser, "#after"))
    assert not seen(browser, "#before")
    assert "hides faces" in browser.text("#before-note")
    loaded = browser.js("return performance.getEntriesByType('resource').map(e => e.name)")
    assert not [one for one in loaded if "news" in one and "before" in one]


def test_a_slider_acts_at_once_and_not_for_every_step(browser: Browser, streams: FakeStreams) -> None:
    for value in range(40, 100):
        browser.slide("#stream-effects input[type=range]", value / 100)
    wanted = {"smooth": {"strength": 0.99}}
    browser.until(lambda: streams.records["studio"].settings["effects"] == [wanted])
    assert streams.calls.count("set_effects") < 30
    browser.until(lambda: "In force: smooth" in browser.text("#stream-effects .note"))


def test_an_effect_is_added_and_removed_and_a_refusal_is_told(browser: Browser, streams: FakeStreams) -> None:
    browser.js("document.querySelector('#stream-effects .add select').value = 'sticker'")
    browser.click("#stream-effects .add button")
    browser.until(lambda: len(streams.records["studio"].settings["effects"]) == 2)
    added = streams.records["studio"].settings["effects"][1]
    assert added["sticker"]["path"].startswith("builtin:")
    browser.click("#stream-effects [aria-label='Remove smooth']")
    browser.until(lambda: streams.records["studio"].settings["effects"] == [added])
    browser.js("document.querySelector('#stream-effects .add select').value = '@natural'")
    browser.click("#stream-effects .add button")
    browser.until(lambda: len(streams.records["studio"].settings["effects"]) > 2)


def test_a_stream_is_begun_and_a_refusal_is_told(browser: Browser, streams: FakeStreams) -> None:
    browser.js("document.querySelector('#begin').open = true")
    browser.type("#begin [name=source]", "ftp://h/a/b")
    browser.click("#begin button")
    browser.until(lambda: "expected an address of" in browser.text("#begin-note"))
    browser.js("document.querySelector('#begin-form').reset()")
    browser.type("#begin [name=source]", "rtmp://h/a/b")
    browser.type("#begin [name=id]", "third")
    browser.click("#begin button")
    browser.until(lambda: browser.text("#stream-name") == "third")
    assert "third" in streams.records


def test_a_photo_is_tried_out_and_follows_the_sliders(browser: Browser, tmp_path: Path) -> None:
    browser.click("#tab-image")
    browser.type("#file", str(put(tmp_path / "face.jpg")))
    browser.until(lambda: seen(browser, "#image-after"))
    assert browser.text("#image-tiles dd") == "1"
    before = browser.js("return document.querySelector('#image-after').src")
    browser.slide("#image-effects input[type=range]", 4)
    browser.until(lambda: browser.js("return document.querySelector('#image-after').src") != before)
    assert browser.js("return document.querySelector('#download').download") == "face-facefx.jpg"
    browser.slide("#split", 80)
    assert browser.js("return document.querySelector('#compare').style.getPropertyValue('--split')") == "80%"
    browser.type("#file", str(put(tmp_path / "none.jpg", b"no photo at all")))
    browser.until(lambda: "is no photo" in browser.text("#image-wrong"))


def test_a_photo_that_is_dropped_anywhere_is_taken(browser: Browser, tmp_path: Path) -> None:
    browser.js(
        "const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0));"
        "const data = new DataTransfer();"
        "data.items.add(new File([bytes], 'dropped.jpg', {type: 'image/jpeg'}));"
        "const all = {bubbles: true, cancelable: true, dataTransfer: data};"
        "document.body.dispatchEvent(new DragEvent('drop', all));",
        base64.b64encode(coded(portrait())).decode(),
    )
    browser.until(lambda: seen(browser, "#image-after"))
    assert browser.js("return document.querySelector('#tab-image').getAttribute('aria-selected')") == "true"


def test_tabs_are_moved_between_by_keys(browser: Browser) -> None:
    browser.js("document.querySelector('#tab-streams').focus()")
    browser.type("#tab-streams", "\ue014")  # arrow right
    assert browser.js("return document.activeElement.id") == "tab-image"
    assert seen(browser, "#image")
    assert not seen(browser, "#streams")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["wide", "narrow"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_reaches_beyond_the_screen_and_all_can_be_read(
    browser: Browser, size: tuple[int, int], dark: bool
) -> None:
    browser.size(*size)
    browser.dark(dark)
    browser.until(lambda: seen(browser, "svg.waterfall"))
    for tab in ("#tab-streams", "#tab-image"):
        browser.click(tab)
        assert browser.js("return document.documentElement.scrollWidth") <= size[0]
    ink, page = browser.js(
        "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor].map(c => "
        "c.match(/\\d+/g).slice(0, 3).reduce((sum, x) => sum + Number(x), 0) / 3)"
    )
    assert (ink > page) == dark
    assert abs(ink - page) > 150
    browser.size(*DESK)
    browser.dark(False)


def test_every_control_has_a_name(browser: Browser) -> None:
    nameless = browser.js(
        "const named = e => e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length;"
        "const all = [...document.querySelectorAll('button, input, select, a')];"
        "return all.filter(e => !named(e)).map(e => e.outerHTML.slice(0, 120))"
    )
    assert nameless == []


def test_the_page_loads_nothing_from_elsewhere_and_may_not(browser: Browser, url: str) -> None:
    loaded = browser.js("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded
    assert all(one.startswith((url, "data:", "blob:")) for one in loaded)
    blocked = browser.js(
        "return fetch('http://example.invalid/').then(() => 'let out', () => 'blocked').then(said => {"
        "const s = document.createElement('script'); s.textContent = 'window.foreign = 1';"
        "document.body.append(s); return [said, window.foreign ?? 'not run']})"
    )
    assert blocked == ["blocked", "not run"]


def test_signing_out_ends_it(browser: Browser, url: str) -> None:
    browser.click("#signout")
    browser.until(lambda: seen(browser, "input[name=token]"))
    assert httpx.get(f"{url}/v1/streams", headers=BEARER).status_code == 200
    browser.type("input[name=token]", TOKEN)
    browser.click("button.main")
    browser.until(lambda: browser.text("#stream-name") == "studio")
