"""Files on S3 and on what speaks its language."""

from __future__ import annotations

import hashlib
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from facefx.errors import SinkError
from facefx.storage.backend import (
    Exclusive,
    Found,
    SweepReport,
    Unavailable,
    fetching,
    is_temporary,
    owner_of,
    settled,
    storing,
    temporary_name,
)
from facefx.storage.local import changed, refused, whole
from facefx.storage.options import StorageOptions
from facefx.storage.s3_client import Client, Refused
from facefx.storage.s3_transfer import TOKEN, Chunks, Upload, encryption, split
from facefx.storage.urls import shown

__all__ = ["S3Backend"]

# What S3 gives, or removes, with one request.
PAGE = 1000


class S3Backend:
    """Files on S3: one upload each, checked; lists in pages; creation by If-None-Match."""

    def __init__(self, options: StorageOptions, owner: str = "") -> None:
        self._options, self._owner = options, owner
        self._client = Client(options)
        self._lock = threading.Lock()
        self._exclusive: Exclusive | None = None

    def exclusive(self, url: str) -> Exclusive:
        """Whether the service honours If-None-Match, seen by trying it once below this URL."""
        with self._lock, storing(url):
            if self._exclusive is None:
                self._exclusive = "atomic" if self._keeps_others_out(url) else "settled"
            return self._exclusive

    def read(self, url: str) -> bytes:
        """The whole of an object."""
        with fetching(url):
            bucket, key = split(url)

            def step() -> bytes:
                reply = self._client.once("get_object", Bucket=bucket, Key=key)
                return bytes(reply["Body"].read())

            return self._client.tried(step)

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """The bytes of an object from start up to stop."""
        with fetching(url):
            bucket, key = split(url)

            def step() -> bytes:
                reply = self._client.once(
                    "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}"
                )
                return bytes(reply["Body"].read())

            return self._client.tried(step)

    def write(self, url: str, data: bytes) -> None:
        """Put a whole object in place of what stood there."""
        with storing(url):
            self._place(url, data)

    def create(self, url: str, data: bytes) -> bool:
        """Put a whole object if none is there."""
        if self.exclusive(url) == "atomic":
            with storing(url):
                return self._place_once(url, data)
        token = secrets.token_hex(8)
        with storing(url):
            return settled(
                lambda: self._head(url) is not None,
                lambda: self._place(url, data, Metadata={TOKEN: token}),
                lambda: self._token(url) == token,
            )

    def put(self, url: str, path: Path) -> None:
        """Upload a local file; an exception leaves nothing behind, not even a pending upload."""
        try:
            with storing(url):
                etag, size = Upload(self._client, self._options, url, path).run()
                head = self._head(url)
        except OSError as error:
            raise SinkError(
                f"{path}: cannot be read: {error.strerror}; it was to become {shown(url)}"
            ) from error
        if head is None or head["ContentLength"] != size or head["ETag"] != etag:
            got = "nothing" if head is None else f"{head['ContentLength']} bytes, etag {head['ETag']}"
            raise SinkError(
                f"{shown(url)}: is not what was uploaded: expected {size} bytes, etag {etag}, got {got}; "
                "see whether another program writes there"
            )

    def get(self, url: str, path: Path, version: str | None = None) -> str:
        """Download an object to a local path."""
        with fetching(url):
            before = self.stat(url)
            if before is None:
                raise Unavailable("is not there; check the address")
            if version and before.version != version:
                raise changed(url, version, before.version)
            chunks = Chunks(self._client, url, before)
            try:
                with whole(path) as part, part.open("wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
            except OSError as error:
                raise refused(str(path), error) from error
            except Refused as error:
                if error.status not in {404, 412}:
                    raise
                after = self.stat(url)
                raise changed(url, before.version, after.version if after else "none: it is gone") from error
            return chunks.sha256

    def stat(self, url: str) -> Found | None:
        """What is known of an object; raises SourceError if not even its bucket is there."""
        with fetching(url):
            head = self._head(url)
        if head is None:
            return None
        return Found(url, int(head["ContentLength"]), _bare(head["ETag"]), head["LastModified"].timestamp())

    def list(self, url: str) -> Iterator[Found]:
        """All objects whose URL begins with this one, page by page."""
        bucket, prefix = split(url)
        more: dict[str, Any] = {}
        while True:
            with fetching(url):
                page = self._client.call(
                    "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **more
                )
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/") and not is_temporary(item["Key"]):
                    yield self._found(url, bucket, item)
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def remove(self, urls: Sequence[str]) -> None:
        """Remove objects, up to a thousand with one request where the service can."""
        for start in range(0, len(urls), PAGE):
            some = urls[start : start + PAGE]
            with storing(some[0]):
                bucket = split(some[0])[0]
                keys = [{"Key": split(url)[1]} for url in some]
                if len(keys) > 1 and self._removed(bucket, keys):
                    continue
                for key in keys:
                    self._client.call("delete_object", Bucket=bucket, **key)

    def sweep(self, url: str, older_than_s: float, owner: str | None) -> SweepReport:
        """Abort uploads that nobody completed; their age is by the service's own clock."""
        bucket, prefix = split(url)
        aborted = 0
        more: dict[str, Any] = {}
        with storing(url):
            while True:
                page = self._client.call(
                    "list_multipart_uploads", Bucket=bucket, Prefix=prefix, MaxUploads=PAGE, **more
                )
                now = _date(page)
                for item in page.get("Uploads", ()):
                    if (now - item["Initiated"]).total_seconds() >= older_than_s:
                        aborted += self._aborted(bucket, item)
                if not page.get("IsTruncated"):
                    break
                more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
            files, size = self._sweep_probes(bucket, prefix, older_than_s, owner)
        return SweepReport(files, size, aborted)

    def _sweep_probes(
        self, bucket: str, prefix: str, older_than_s: float, owner: str | None
    ) -> tuple[int, int]:
        """Remove small objects that a killed process left while it tried what the service can."""
        files = size = 0
        more: dict[str, Any] = {}
        while True:
            page = self._client.call("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **more)
            now = _date(page)
            for item in page.get("Contents", ()):
                whose = owner_of(item["Key"].rpartition("/")[2])
                old = (now - item["LastModified"]).total_seconds() >= older_than_s
                if whose is not None and (old or (owner and whose == owner)):
                    self._client.call("delete_object", Bucket=bucket, Key=item["Key"])
                    files, size = files + 1, size + int(item["Size"])
            if not page.get("IsTruncated"):
                return files, size
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _aborted(self, bucket: str, item: dict[str, Any]) -> bool:
        try:
            self._client.call(
                "abort_multipart_upload", Bucket=bucket, Key=item["Key"], UploadId=item["UploadId"]
            )
        except Refused as error:
            if not error.missing:
                raise
            return False
        return True

    def _removed(self, bucket: str, keys: Sequence[dict[str, str]]) -> bool:
        """False if the service does not know how to remove many at once."""
        try:
            reply = self._client.call(
                "delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True}
            )
        except Refused as error:
            if error.status not in {400, 405, 501}:
                raise
            return False
        return not reply.get("Errors")

    def _keeps_others_out(self, url: str) -> bool:
        """Create one small object twice: some services accept both, silently."""
        bucket, key = split(url)
        folder = key.rpartition("/")[0]
        name = temporary_name("exclusive", self._owner)
        probe = f"s3://{bucket}/{folder}/{name}" if folder else f"s3://{bucket}/{name}"
        try:
            return self._place_once(probe, b"1") and not self._place_once(probe, b"2")
        except Refused as error:
            if error.status not in {400, 405, 501}:
                raise
            return False
        finally:
            self.remove([probe])

    def _place_once(self, url: str, data: bytes) -> bool:
        """Put an object under If-None-Match; ours is known by its token when a reply was lost."""
        token = secrets.token_hex(8)
        try:
            self._place(url, data, IfNoneMatch="*", Metadata={TOKEN: token})
        except Refused as error:
            if error.status != 412:
                raise
            return self._token(url) == token
        return True

    def _place(self, url: str, data: bytes, **more: Any) -> None:
        bucket, key = split(url)
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        self._client.call(
            "put_object",
            Bucket=bucket,
            Key=key,
            Body=data,
            ContentMD5=b64encode(digest).decode(),
            **encryption(self._options),
            **more,
        )

    def _token(self, url: str) -> str | None:
        head = self._head(url)
        return None if head is None else head.get("Metadata", {}).get(TOKEN)

    def _head(self, url: str) -> dict[str, Any] | None:
        """An object's head; a missing bucket is told from a missing object, which a HEAD does not do."""
        bucket, key = split(url)
        try:
            return self._client.call("head_object", Bucket=bucket, Key=key)
        except Refused as error:
            if not error.missing:
                raise
        try:
            self._client.call("head_bucket", Bucket=bucket)
        except Refused as refusal:
            if refusal.missing:
                raise Unavailable("there is no such bucket; check its name and the endpoint") from refusal
            if refusal.status != 403:  # one may read objects without the right to ask for the bucket
                raise
        return None

    @staticmethod
    def _found(url: str, bucket: str, item: dict[str, Any]) -> Found:
        place = f"{url.partition('://')[0]}://{bucket}/{item['Key']}"
        return Found(place, int(item["Size"]), _bare(item["ETag"]), item["LastModified"].timestamp())


def _bare(etag: str) -> str:
    return etag.strip('"')


def _date(reply: dict[str, Any]) -> datetime:
    """The service's own time."""
    return parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
