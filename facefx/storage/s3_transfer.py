"""Large objects: uploads in parts, all or nothing, and downloads that go on where they broke off."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from facefx.storage.backend import Found, Unavailable
from facefx.storage.options import StorageOptions
from facefx.storage.s3_client import Client, Refused

__all__ = ["TOKEN", "Chunks", "Upload", "encryption", "split"]

# S3: parts of at least 5 MiB, at most 10 000 of them.
PART_BYTES = 8 << 20
MAX_PARTS = 9_000
AT_ONCE = 4
CHUNK_BYTES = 1 << 20
# Tells an object that one of our requests made from the same one by another.
TOKEN = "facefx-token"
_MD5 = re.compile(r"[0-9a-f]{32}(-\d+)?")


def split(url: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URL. Raises Unavailable without a bucket.

    >>> split("s3://bucket/a/b.mp4")
    ('bucket', 'a/b.mp4')
    """
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket:
        raise Unavailable("names no bucket; expected s3://bucket/key")
    return bucket, key


def encryption(options: StorageOptions) -> dict[str, str]:
    """The arguments that ask for encryption at rest."""
    asked = {"ServerSideEncryption": options.sse, "SSEKMSKeyId": options.sse_kms_key_id}
    return {name: value for name, value in asked.items() if value}


class Upload:
    """One local file on its way to one object. run() gives the object's etag and size.

    Of a large file no part shows before all are there and complete. Any error aborts the pending upload.
    """

    def __init__(self, client: Client, options: StorageOptions, url: str, path: Path) -> None:
        self._client, self._options, self._path = client, options, path
        bucket, key = split(url)
        self._to = {"Bucket": bucket, "Key": key}
        self._token = secrets.token_hex(8)

    def run(self) -> tuple[str, int]:
        """Upload. Raises Unavailable, and OSError if the file cannot be read."""
        size = self._path.stat().st_size
        if size <= PART_BYTES:
            data = self._path.read_bytes()
            reply = self._client.call(
                "put_object", Body=data, ContentMD5=_md5(data)[1], **self._to, **encryption(self._options)
            )
            _compare(reply, _md5(data)[0].hex())
            return str(reply["ETag"]), len(data)
        to = {**self._to, "UploadId": self._begun()}
        try:
            return self._in_parts(to, size), size
        except BaseException:
            self._abort(to)
            raise

    def _begun(self) -> str:
        """The id of a new upload. One whose reply was lost would be nobody's, and be paid for."""
        tries, mine = 0, ""

        def begin() -> str:
            nonlocal tries
            tries += 1
            more = {**encryption(self._options), "Metadata": {TOKEN: self._token}}
            reply = self._client.once("create_multipart_upload", **self._to, **more)
            return str(reply["UploadId"])

        try:
            mine = self._client.tried(begin)
        finally:
            if tries > 1:
                self._abort_ghosts(mine)
        return mine

    def _abort_ghosts(self, mine: str) -> None:
        """Abort uploads of this very key that are not ours and have no part yet."""
        bucket, key = self._to["Bucket"], self._to["Key"]
        with suppress(Unavailable):
            page = self._client.call("list_multipart_uploads", Bucket=bucket, Prefix=key)
            ids = [item["UploadId"] for item in page.get("Uploads", ()) if item["Key"] == key]
            for other in set(ids) - {mine}:
                to = {**self._to, "UploadId": other}
                if not self._client.call("list_parts", **to).get("Parts"):
                    self._abort(to)

    def _in_parts(self, to: dict[str, Any], size: int) -> str:
        step = max(PART_BYTES, -(-size // MAX_PARTS))
        numbers = range(1, -(-size // step) + 1)
        pool = ThreadPoolExecutor(AT_ONCE, "facefx-upload")
        try:
            parts = list(pool.map(lambda number: self._part(to, number, step), numbers))
        finally:
            # What runs is waited for: a part that lands after the abort would stay, and be paid for.
            pool.shutdown(wait=True, cancel_futures=True)
        listed = [
            {"PartNumber": number, "ETag": etag} for number, (etag, _) in zip(numbers, parts, strict=True)
        ]
        total = hashlib.md5(b"".join(digest for _, digest in parts), usedforsecurity=False)
        expected = f"{total.hexdigest()}-{len(parts)}"
        try:
            reply = self._client.call("complete_multipart_upload", MultipartUpload={"Parts": listed}, **to)
        except Refused as error:
            # A reply may be lost after the work was done; the second try then finds no such upload.
            reply = self._completed() if error.missing else {}
            if not reply:
                raise
        _compare(reply, expected)
        return str(reply["ETag"])

    def _part(self, to: dict[str, Any], number: int, step: int) -> tuple[str, bytes]:
        with self._path.open("rb") as file:
            data = os.pread(file.fileno(), step, (number - 1) * step)
        digest, checksum = _md5(data)
        reply = self._client.call("upload_part", Body=data, PartNumber=number, ContentMD5=checksum, **to)
        return str(reply["ETag"]), digest

    def _completed(self) -> dict[str, Any]:
        """The head of the object if it is the one that this upload was to make."""
        try:
            head = self._client.call("head_object", **self._to)
        except Refused:
            return {}
        return head if head.get("Metadata", {}).get(TOKEN) == self._token else {}

    def _abort(self, to: dict[str, Any]) -> None:
        """Take back all parts. What keeps us from it must not hide why we are here: sweeps come by."""
        with suppress(Unavailable):
            self._client.call("abort_multipart_upload", **to)


class Chunks:
    """An object's bytes in order, of one version throughout; sha256: of all of them, at the end.

    A body that breaks off is asked for again from there. Iterating raises Refused with status 412 when
    the object has changed meanwhile, Unavailable when it cannot be had whole.
    """

    def __init__(self, client: Client, url: str, entry: Found) -> None:
        self._client, self._entry = client, entry
        bucket, key = split(url)
        self._from = {"Bucket": bucket, "Key": key, "IfMatch": f'"{entry.version}"'}
        self.sha256 = ""
        self._reply: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[bytes]:
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        at = 0
        while at < self._entry.size_bytes:
            chunk = self._client.tried(partial(self._next, at))
            if not chunk:
                raise Unavailable(f"ends after {at} of {self._entry.size_bytes} bytes; try again later")
            sha256.update(chunk)
            md5.update(chunk)
            at += len(chunk)
            yield chunk
        if at != self._entry.size_bytes or not _matches(self._reply or {}, md5.hexdigest(), parts=False):
            raise Unavailable(
                f"arrived as other bytes than were stored: expected {self._entry.size_bytes} bytes of md5 "
                f"{self._entry.version}, got {at} of {md5.hexdigest()}; try again"
            )
        self.sha256 = sha256.hexdigest()

    def _next(self, at: int) -> bytes:
        """The bytes from there on, of a request that is open or of a new one."""
        if self._reply is None:
            self._reply = self._client.once("get_object", Range=f"bytes={at}-", **self._from)
        body = self._reply["Body"]
        try:
            return bytes(body.read(CHUNK_BYTES))
        except BaseException:
            self._reply = None
            body.close()
            raise


def _md5(data: bytes) -> tuple[bytes, str]:
    """The digest, and how a header holds it."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return digest, b64encode(digest).decode()


def _matches(reply: dict[str, Any], expected: str, *, parts: bool = True) -> bool:
    """False if an etag that is an md5 is another one; with a key service, and elsewhere, it is none."""
    etag = str(reply.get("ETag", "")).strip('"')
    keyed = (
        str(reply.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in reply
    )
    if keyed or not _MD5.fullmatch(etag) or (not parts and "-" in etag):
        return True
    return etag == expected


def _compare(reply: dict[str, Any], expected: str) -> None:
    if not _matches(reply, expected):
        raise Unavailable(f"arrived as other bytes: expected etag {expected}, got {reply['ETag']}; try again")
