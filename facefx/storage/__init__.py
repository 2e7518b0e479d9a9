"""Any URL as files: find, list and stage what is read, publish what was written, whole or not at all.

The only user of fsspec and botocore. A local path is used where it lies; any other URL is copied to a
private folder first. Nothing is ever streamed into its final name: on S3 an exception inside
`with fs.open(url, "wb")` publishes half a file.
"""

from facefx.storage.cache import StagingCache
from facefx.storage.lease import Lease
from facefx.storage.options import StorageOptions
from facefx.storage.publish import Publication, publishing, sha256_of, speaking_of, staged
from facefx.storage.ranged import RangedFile, opened_in_places
from facefx.storage.sources import PHOTO_SUFFIXES, VIDEO_SUFFIXES, SourceEntry, find_sources
from facefx.storage.store import Entry, Store, SweepReport
from facefx.storage.urls import (
    is_device,
    is_local,
    joined,
    local_path,
    real_path,
    safe_relative,
    same_place,
    sha256_file,
    shown,
)

__all__ = [
    "PHOTO_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Entry",
    "Lease",
    "Publication",
    "RangedFile",
    "SourceEntry",
    "StagingCache",
    "StorageOptions",
    "Store",
    "SweepReport",
    "find_sources",
    "is_device",
    "is_local",
    "joined",
    "local_path",
    "opened_in_places",
    "publishing",
    "real_path",
    "safe_relative",
    "same_place",
    "sha256_file",
    "sha256_of",
    "shown",
    "speaking_of",
    "staged",
]
