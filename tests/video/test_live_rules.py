"""A live URL reaches what the rules allow and nothing else; a canary beside it is never visited."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from live_rtmp import make_clip

from facefx.errors import FacefxError, SourceError, UnsupportedError, UsageError
from facefx.video.hls_fetch import Fetcher
from facefx.video.live_rules import REMOTE, SourceRules, check_source, check_target, redact_url
from facefx.video.live_source import LiveSource

SECRET = "s3cr3t-key"
Pages = dict[str, tuple[int, dict[str, str], bytes]]


class Site:
    """An HTTP server that answers from `pages` and counts every request."""

    def __init__(self, host: str) -> None:
        self.hits: list[str] = []
        self.pages: Pages = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.hits.append(self.path)
                status, headers, body = site.pages.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site("127.0.0.1")
    yield one
    one.close()


@pytest.fixture
def canary() -> Iterator[Site]:
    """Another machine, as far as addresses tell."""
    one = Site("127.0.0.2")
    yield one
    one.close()


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of MPEG-TS."""
    return make_clip(tmp_path_factory.mktemp("hls") / "clip.ts", 1.0, (320, 180)).path.read_bytes()


OUTER = SourceRules(REMOTE, hosts=("127.0.0.1",), allow_private=True)
BOTH = SourceRules(REMOTE, allow_private=True)


def playlist(*lines: str) -> bytes:
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
    return "\n".join([*head, *lines, "#EXT-X-ENDLIST", ""]).encode()


def play(site: Site, rules: SourceRules) -> int:
    """Open the site's playlist and read all of it; how many frames."""
    source = LiveSource(
        f"{site.url}/live.m3u8?token={SECRET}", rules, paced=False, open_timeout_s=3, read_timeout_s=1
    )
    source.open()
    return sum(arrival.batch is not None for arrival in source.items())


def via_segment(inner: str, site: Site) -> list[str]:
    return ["#EXTINF:1,", inner]


def via_redirect(inner: str, site: Site) -> list[str]:
    site.pages["/moved.ts"] = (302, {"Location": inner}, b"")
    return ["#EXTINF:1,", "/moved.ts"]


def via_map(inner: str, site: Site) -> list[str]:
    return [f'#EXT-X-MAP:URI="{inner}"', "#EXTINF:1,", "/good.ts"]


def via_variant(inner: str, site: Site) -> list[str]:
    return ["#EXT-X-STREAM-INF:BANDWIDTH=1000", inner]


WAYS: list[Callable[[str, Site], list[str]]] = [via_segment, via_redirect, via_map, via_variant]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_playlist_that_names_an_inner_address_does_not_reach_it(
    site: Site, canary: Site, segment: bytes, way: Callable[[str, Site], list[str]]
) -> None:
    site.pages["/good.ts"] = (200, {}, segment)
    canary.pages["/inner.ts"] = (200, {}, segment)
    site.pages[f"/live.m3u8?token={SECRET}"] = (200, {}, playlist(*way(f"{canary.url}/inner.ts", site)))
    with pytest.raises(UsageError, match=r"127\.0\.0\.2 is not on the list") as caught:
        play(site, OUTER)
    assert site.hits
    assert canary.hits == []
    assert SECRET not in str(caught.value)
    with suppress(FacefxError):
        play(site, BOTH)  # where the rules allow it, the same playlist does get there
    assert canary.hits


@pytest.mark.parametrize(
    "inner",
    [
        "file:///etc/hostname", "FILE:///etc/hostname", "concat:{canary}/a.ts|{canary}/b.ts",
        "subfile,,start,0,end,100,,:{canary}/a.ts", "data:video/mp2t;base64,R0BAEA==", "pipe:0", "gopher://127.0.0.2/",
        "ftp://127.0.0.2/a.ts", "tcp://127.0.0.2:80", "crypto+{canary}/a.ts", "async:{canary}/a.ts",
        "cache:{canary}/a.ts", "http://127.0.0.1@127.0.0.2/a.ts", "//127.0.0.2/a.ts",
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_playlist_that_names_another_protocol_reaches_nothing(
    site: Site, canary: Site, segment: bytes, inner: str, way: Callable[[str, Site], list[str]]
) -> None:
    site.pages["/good.ts"] = (200, {}, segment)
    lines = way(inner.format(canary=canary.url), site)
    site.pages[f"/live.m3u8?token={SECRET}"] = (200, {}, playlist(*lines))
    with pytest.raises(FacefxError):
        play(site, OUTER)
    assert canary.hits == []


@pytest.mark.parametrize(
    "body",
    [
        b"ffconcat version 1.0\nfile {canary}/a.ts\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{canary}/a.ts\n#EXT-X-ENDLIST\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.2\ns=x\nc=IN IP4 127.0.0.2\nm=video 9 RTP/AVP 96\n",
        b"<?xml version='1.0'?><MPD><BaseURL>{canary}/</BaseURL></MPD>",
    ],
)
@pytest.mark.parametrize("where", ["playlist", "segment"])
def test_a_list_in_the_place_of_a_segment_is_not_followed(
    site: Site, canary: Site, body: bytes, where: str
) -> None:
    text = body.replace(b"{canary}", canary.url.encode())
    site.pages["/a.ts"] = (200, {}, text)
    whole = playlist("#EXTINF:1,", "/a.ts") if where == "segment" else text
    site.pages[f"/live.m3u8?token={SECRET}"] = (200, {}, whole)
    with pytest.raises(FacefxError):
        play(site, OUTER)
    assert canary.hits == []


def test_a_playlist_of_allowed_addresses_is_played(site: Site, segment: bytes) -> None:
    site.pages["/good.ts"] = (200, {}, segment)
    site.pages[f"/live.m3u8?token={SECRET}"] = (200, {}, playlist("#EXTINF:1,", "good.ts"))
    assert play(site, OUTER) == 30


def test_an_encrypted_playlist_fetches_no_key(site: Site, canary: Site) -> None:
    lines = [f'#EXT-X-KEY:METHOD=AES-128,URI="{canary.url}/key"', "#EXTINF:1,", "/a.ts"]
    site.pages[f"/live.m3u8?token={SECRET}"] = (200, {}, playlist(*lines))
    with pytest.raises(UnsupportedError, match="encrypted"):
        play(site, BOTH)
    assert canary.hits == []


def test_a_name_that_means_another_machine_a_moment_later_reaches_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(site.url.rpartition(":")[2])
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def lookup(host: str, at: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), at))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    rules = SourceRules(REMOTE)
    url = check_source(f"http://rebound.example:{port}/live.m3u8", rules)
    with pytest.raises(UsageError, match=r"rebound\.example \(127\.0\.0\.1\)"):
        Fetcher(rules, 2).get(url, 1000)
    assert site.hits == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "10.1.2.3", "192.168.0.1", "172.16.9.9",
        "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "[fe80::1]",
        "[fc00::1]", "[64:ff9b::a00:1]", "[2002:a00:1::1]",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    with pytest.raises(UsageError, match=r"not allowed here|credentials|one machine"):
        check_source(f"rtmp://{host}/live/{SECRET}", SourceRules(REMOTE))


def test_the_addresses_of_a_clouds_credentials_are_refused_even_where_private_ones_are_allowed() -> None:
    for host in ("169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"):
        with pytest.raises(UsageError, match="credentials"):
            check_source(f"http://{host}/a.m3u8", BOTH)
    assert check_source("rtmp://127.0.0.1/live/a", BOTH) == "rtmp://127.0.0.1/live/a"


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("srt://host:9000", UnsupportedError, "SRT is not in this build"),
        ("concat:a.ts|b.ts", UsageError, "concat: is not allowed"),
        ("subfile,,start,0,end,9,,:a.ts", UsageError, "subfile: is not allowed"),
        ("data:video/mp4;base64,AA", UsageError, "data: is not allowed"),
        ("pipe:0", UsageError, "pipe: is not allowed"),
        ("ftp://host/a", UsageError, "ftp: is not allowed"),
        ("file:///etc/passwd", UsageError, "files are not allowed"),
        ("/etc/passwd", UsageError, "files are not allowed"),
        (f"rtmp://me:pw@host/live/{SECRET}", UsageError, "user or password"),
        (f"rtmp://host:99999/live/{SECRET}", UsageError, "port"),
        (f"rtmp://host/{SECRET}", UsageError, "APPLICATION/NAME"),
        (f"rtmp:///live/{SECRET}", UsageError, "names no host"),
        (f"rtmp://host/live/{SECRET} listen=1", UsageError, "blanks"),
        (f"http://host/{SECRET}\r\nX: y", UsageError, "blanks"),
        ("", UsageError, "no source"),
    ],
)
def test_a_refusal_says_why_and_holds_no_key(url: str, kind: type[FacefxError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        check_source(url, SourceRules(REMOTE))
    assert "\n" not in str(caught.value)
    if url.startswith("rtmp"):
        assert SECRET not in str(caught.value)
        assert "pw@" not in str(caught.value)


def test_files_stay_below_their_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out.mkv"
    inside.mkdir()
    outside.touch()
    (inside / "link.mkv").symlink_to(outside)
    rules = SourceRules(frozenset({"file"}), file_root=inside)
    assert check_target("a.mkv", rules) == str(inside / "a.mkv")
    for path in ("../out.mkv", str(outside), "link.mkv", f"file://{outside}"):
        with pytest.raises(UsageError, match="outside"):
            check_target(path, rules)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"rtmp://host:1/live/{SECRET}", "rtmp://host:1/live/***"),
        (f"rtmp://host/a/b/{SECRET}?x={SECRET}", "rtmp://host/a/b/***"),
        (f"rtmps://u:{SECRET}@host/live/{SECRET}", "rtmps://host/live/***"),
        (f"https://host/a.m3u8?t={SECRET}#{SECRET}", "https://host/a.m3u8?***"),
        (f"rtmp://host?{SECRET}", "rtmp://host"),
        (f"RTMP://host/live/{SECRET}", "rtmp://host/live/***"),
        (f"srt://host?passphrase={SECRET}", "srt:***"),
        ("/a/b c.mkv", "/a/b c.mkv"),
        ("/a\r\nforged log line", "/a??forged log line"),
    ],
)
def test_a_redacted_url_holds_no_secret(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert SECRET not in redact_url(url)


def test_a_file_that_is_longer_than_any_playlist_is_not_read_whole(site: Site) -> None:
    site.pages["/big"] = (200, {}, b"x" * 50_000)
    with pytest.raises(SourceError, match="longer than 1000 bytes"):
        Fetcher(OUTER, 2).get(f"{site.url}/big", 1000)


def test_redirects_have_an_end(site: Site) -> None:
    site.pages["/loop"] = (302, {"Location": "/loop"}, b"")
    with pytest.raises(SourceError, match="redirects"):
        Fetcher(OUTER, 2).get(f"{site.url}/loop", 1000)
