"""Which addresses a live stream may come from and go to; refused by name, before anything is opened.

A checked host is resolved here, and the connection is made to the address that was checked: a name that
means another machine a moment later reaches nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from facefx.errors import SourceError, UnsupportedError, UsageError

__all__ = [
    "PORTS", "REMOTE", "Place", "SourceRules", "check_source", "check_target", "place_of", "redact_url",
    "resolve",
]  # fmt: skip

PORTS = {"rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
REMOTE = frozenset(PORTS)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)([:,])")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
# Clouds hand out a machine's credentials here: AWS, Azure, GCP and others; AWS by IPv6; Alibaba.
_METADATA = frozenset({"169.254.169.254", "fd00:ec2::254", "100.100.100.200"})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What a stream's URL may name.

    hosts: patterns ("*.example.org") of which a host must match one; None: any. allow_private: addresses of
    this machine and its own network too; those at which clouds keep credentials never. file_root: files
    only below this folder. Whoever takes URLs from others leaves "file" out: schemes=REMOTE.
    """

    schemes: frozenset[str] = REMOTE | {"file"}
    hosts: tuple[str, ...] | None = None
    allow_private: bool = False
    file_root: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A checked URL's parts. path: as it stands, with its query; for a file, the file."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """The host as a server is told it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS.get(self.scheme) else f"{host}:{self.port}"


def redact_url(url: str) -> str:
    """The URL without its secrets: a stream key, user and password, values of a query.

    >>> redact_url("rtmp://me:pw@host/live/key?a=1"), redact_url("https://host/a.m3u8?token=1&b")
    ('rtmp://host/live/***', 'https://host/a.m3u8?***')
    """
    url = _UNSAFE.sub(lambda found: found[0] if found[0] in " \\" else "?", url)
    scheme, rest = _split_scheme(url)
    if scheme not in REMOTE or not rest.startswith("//"):
        return url if scheme in ("", "file") else f"{scheme}:***"
    netloc, slash, path = rest[2:].partition("/")
    host = netloc.rpartition("@")[2].partition("?")[0]
    path, mark, _ = path.partition("?")
    path = path.partition("#")[0]
    if scheme.startswith("rtmp"):
        app, key, _ = path.rpartition("/")
        return f"{scheme}://{host}/{app}{key}***" if slash else f"{scheme}://{host}"
    return f"{scheme}://{host}{slash}{path}" + ("?***" if mark else "")


def check_source(url: str, rules: SourceRules) -> str:
    """Check where a stream comes from; return the URL, a file's as its plain path.

    The host is resolved: every address of it must be allowed. The connection is resolved and checked
    again, and made to an address of that check; the URL keeps the name, which servers and certificates need.

    Raises UsageError for what the rules forbid, UnsupportedError for what cannot be read at all,
    SourceError for a host that has no address; none of them names the stream key.
    """
    return _check(url, rules, "source")


def check_target(url: str, rules: SourceRules) -> str:
    """Check where a stream is sent, in the same way; see check_source."""
    return _check(url, rules, "target")


def place_of(url: str, rules: SourceRules) -> Place:
    """Take a URL apart and check all that needs no network.

    Raises UsageError, UnsupportedError; see check_source.
    """
    shown = redact_url(url)
    scheme, rest = _split_scheme(url)
    if scheme in ("", "file"):
        return _file_place(url if not scheme else rest.removeprefix("//"), rules, shown)
    if scheme == "srt":
        raise UnsupportedError(
            f"{shown}: SRT is not in this build of FFmpeg; put a gateway in front that speaks RTMP "
            "(MediaMTX, SRS), and name its rtmp:// address"
        )
    if scheme not in rules.schemes or scheme not in REMOTE:
        allowed = ", ".join(sorted(rules.schemes))
        raise UsageError(f"{shown}: {scheme}: is not allowed here: expected one of {allowed}")
    if _UNSAFE.search(url):
        raise UsageError(f"{shown}: a URL holds no blanks, backslashes or control characters; escape them")
    return _remote_place(scheme, urlsplit(url), rules, shown)


def resolve(place: Place, rules: SourceRules) -> list[tuple[str, int]]:
    """The addresses of a checked place, all of them allowed: (address, port).

    Raises SourceError where there is none, UsageError where one is forbidden.
    """
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host's name"
        raise SourceError(f"{place.host}: no address found: {reason}; check the name") from error
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    for address in addresses:
        wrong = _forbidden(address, rules)
        if wrong:
            shown = address if address == place.host else f"{place.host} ({address})"
            raise UsageError(f"{place.scheme}://{shown}: {wrong}; name a public host, or allow private ones")
    return [(address, place.port) for address in addresses]


def _check(url: str, rules: SourceRules, what: str) -> str:
    if not url:
        raise UsageError(f"no {what} given: expected a URL or a file's name")
    place = place_of(url, rules)
    if place.scheme == "file":
        return place.path
    resolve(place, rules)
    return url


def _split_scheme(url: str) -> tuple[str, str]:
    """The scheme in small letters, "" for a path; subfile,, counts as what FFmpeg takes it for."""
    found = _SCHEME.match(url)
    if not found or (found[2] == "," and found[1].lower() not in ("subfile", "concat", "concatf")):
        return "", url
    return found[1].lower(), url[found.end() :]


def _file_place(path: str, rules: SourceRules, shown: str) -> Place:
    if "file" not in rules.schemes:
        raise UsageError(f"{shown}: files are not allowed here: expected {', '.join(sorted(rules.schemes))}")
    if "\0" in path:
        raise UsageError("a file's name holds no zero byte")
    if rules.file_root is not None:
        root = rules.file_root.resolve()
        if not (root / path).resolve().is_relative_to(root):
            raise UsageError(f"{shown}: lies outside {root}, where files are allowed")
        path = str((root / path).resolve())
    return Place("file", "", 0, path)


def _remote_place(scheme: str, parts: SplitResult, rules: SourceRules, shown: str) -> Place:
    if "@" in parts.netloc:
        raise UsageError(f"{shown}: a user or password in a URL is not allowed: it would end in logs")
    try:
        host, port = parts.hostname or "", parts.port or PORTS[scheme]
    except ValueError as error:
        raise UsageError(f"{shown}: the port is no number up to 65535") from error
    if not host:
        raise UsageError(f"{shown}: names no host: expected {scheme}://HOST/…")
    if rules.hosts is not None and not _is_listed(host, rules.hosts):
        raise UsageError(f"{shown}: host {host} is not on the list of allowed hosts")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if scheme.startswith("rtmp") and len([part for part in parts.path.split("/") if part]) < 2:
        raise UsageError(f"{shown}: expected {scheme}://HOST/APPLICATION/NAME")
    return Place(scheme, host, port, path)


def _is_listed(host: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(host.lower().rstrip("."), pattern.lower()) for pattern in patterns)


def _forbidden(address: str, rules: SourceRules) -> str:
    """Say why an address is not to be reached; "" if it may."""
    ip = _bare(ipaddress.ip_address(address.partition("%")[0]))
    if str(ip) in _METADATA:
        return "this is where clouds keep a machine's credentials"
    if ip.is_multicast or ip.is_unspecified:
        return "not the address of one machine"
    if not rules.allow_private and not ip.is_global:
        return "a private, local or reserved address is not allowed here"
    return ""


def _bare(ip: Address) -> Address:
    """The IPv4 address that is wrapped in an IPv6 one, where one is."""
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour
        if wrapped is not None:
            return wrapped
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
