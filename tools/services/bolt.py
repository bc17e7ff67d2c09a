"""Reads a bbolt database, the file of the simulated devices: buckets, keys and values.

Layout: go.etcd.io/bbolt v1.3, page.go, bucket.go and db.go; little-endian on all supported machines.
"""

from __future__ import annotations

import fcntl
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MAGIC = 0xED0CDAED
_VERSION = 2
_PAGE = struct.Struct("<QHHI")
"""id, flags, count of elements, overflow pages."""
_META = struct.Struct("<IIIIQQQQQQ")
"""magic, version, page size, flags, root page, root sequence, free list, high-water mark, transaction, checksum."""
_BRANCH = struct.Struct("<IIQ")
"""offset from the element, key size, child page."""
_LEAF = struct.Struct("<IIII")
"""flags, offset from the element, key size, value size."""
_BUCKET = struct.Struct("<QQ")
"""root page (0: the only page of the bucket follows inline), sequence."""
_IS_BRANCH, _IS_LEAF = 0x01, 0x02
_IS_BUCKET = 0x01
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


class BoltError(Exception):
    """The file is not a bbolt database, or is damaged."""


def read(path: Path) -> Mapping[str, Mapping[bytes, bytes]]:
    """Return the keys and values of each top-level bucket, by name. Nested buckets are omitted.

    Waits until no process writes, with the shared flock of bbolt readers.

    Raises:
        FileNotFoundError: The file does not exist.
        BoltError: The file has no valid meta page, or a page of an unknown kind.

    """
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        if path.stat().st_size == 0:
            return {}  # just created, not written yet
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = _newest_meta(data)
            return {
                name.decode(): dict(_bucket(data, meta.page_size, value))
                for name, value, is_bucket in _elements(data, meta.page_size, meta.root * meta.page_size)
                if is_bucket
            }


def make_room(path: Path, room: int) -> None:
    """Extend the file (sparsely) to `room` bytes, or to four times the used bytes if that is more.

    bbolt maps the file at its current length. If the file grows, bbolt maps it again at another address. A program
    that still has pointers into the old mapping then crashes or reads wrong data. A file with free space is never
    mapped again.
    """
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.stat().st_size == 0:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = _newest_meta(data)
        wanted = max(room, 4 * meta.pages * meta.page_size)
        if path.stat().st_size < wanted:
            file.truncate(wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meta:
    page_size: int
    root: int
    pages: int
    """High-water mark: all pages in use have smaller numbers."""
    transaction: int


_Data = bytes | mmap.mmap


def _newest_meta(data: _Data) -> _Meta:
    # Writes alternate between two meta pages. After a crash the newer one can be incomplete, with a wrong checksum.
    found = [_meta(data, _PAGE.size)]
    page_size = found[0].page_size if found[0] else 4096
    found.append(_meta(data, page_size + _PAGE.size))
    valid = [meta for meta in found if meta is not None]
    if not valid:
        raise BoltError("no valid meta page: not a bbolt database")
    return max(valid, key=lambda meta: meta.transaction)


def _meta(data: _Data, at: int) -> _Meta | None:
    if len(data) < at + _META.size:
        return None
    magic, version, page_size, _, root, _, _, pages, transaction, checksum = _META.unpack_from(data, at)
    if magic != _MAGIC or version != _VERSION or checksum != _fnv1a(data[at : at + _META.size - 8]):
        return None
    return _Meta(page_size=page_size, root=root, pages=pages, transaction=transaction)


def _fnv1a(data: bytes) -> int:
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def _bucket(data: _Data, page_size: int, header: bytes) -> Iterator[tuple[bytes, bytes]]:
    root, _ = _BUCKET.unpack_from(header)
    inline = root == 0
    elements = _elements(header, 0, _BUCKET.size) if inline else _elements(data, page_size, root * page_size)
    return ((key, value) for key, value, is_bucket in elements if not is_bucket)


def _elements(data: _Data, page_size: int, page: int) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield (key, value, is a bucket) for each element of the tree below the page at this offset, in key order."""
    _, flags, count, _ = _PAGE.unpack_from(data, page)
    first = page + _PAGE.size
    if flags & _IS_BRANCH:
        for at in range(first, first + count * _BRANCH.size, _BRANCH.size):
            yield from _elements(data, page_size, _BRANCH.unpack_from(data, at)[2] * page_size)
    elif flags & _IS_LEAF:
        for at in range(first, first + count * _LEAF.size, _LEAF.size):
            kind, offset, key_size, value_size = _LEAF.unpack_from(data, at)
            key, end = at + offset, at + offset + key_size
            yield data[key:end], data[end : end + value_size], bool(kind & _IS_BUCKET)
    else:
        raise BoltError(f"page at byte {page} is neither branch nor leaf (flags {flags:#x})")
