"""A real S3 service over HTTP for tests: moto's server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
import uuid
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from facefx.storage import StorageOptions

# It ends when our end of the pipe closes, however this process ends.
_SERVE = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
# Any will do; looked for in texts that must not hold them.
KEY, SECRET = "AKIACANARYCANARYCANA", "canary-secret-0123456789/abcdefghijklmno"


def credentials() -> dict[str, str]:
    """The environment in which botocore finds the test's credentials, and no others."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


class S3Server:
    """The server's process; endpoint: where it listens."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def demand_rights(self, demand: bool) -> None:
        """Let it check credentials, of which none are known to it; by itself it accepts any."""
        count = b"0" if demand else b"inf"
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset-auth", data=count, headers=plain)
        urllib.request.urlopen(request).close()

    def close(self) -> None:
        """Stop it, and forget what it stored."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)


@cache
def _client(endpoint: str) -> Any:
    import botocore.session

    session = botocore.session.Session()
    session.set_credentials(KEY, SECRET)
    return session.create_client("s3", endpoint_url=endpoint, region_name="us-east-1")


@dataclass
class S3Place:
    """A bucket of its own on the server. client: botocore's, straight to the server."""

    endpoint: str
    bucket: str = field(default_factory=lambda: f"b-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self.client.create_bucket(Bucket=self.bucket)

    @property
    def client(self) -> Any:
        return _client(self.endpoint)

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def options(self, endpoint: str | None = None, **more: Any) -> StorageOptions:
        """Options to reach it, or the endpoint of a proxy before it; few and short waits."""
        plain = StorageOptions(endpoint_url=endpoint or self.endpoint, region="us-east-1")
        return replace(plain, **more)

    def keys(self) -> dict[str, int]:
        """All objects with their sizes."""
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: item["Size"] for item in listed}

    def bytes_of(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def pending(self) -> list[str]:
        """The keys of uploads that were begun and neither completed nor aborted."""
        return [
            item["Key"] for item in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        ]
