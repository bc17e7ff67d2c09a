"""Splits DER into its elements, and BER with indefinite lengths, which the PKCS #12 files of Windows and NSS have.

The children of an element are parsed only when they are requested. Limits on the nesting of indefinite lengths and on
the number of elements keep a hostile file cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ANY",
    "BIT_STRING",
    "BMP_STRING",
    "GENERALIZED_TIME",
    "INTEGER",
    "OCTET_STRING",
    "OID",
    "SEQUENCE",
    "SET",
    "UTC_TIME",
    "DerError",
    "Node",
    "context_tag",
    "first",
    "parse",
]

ANY = 0
"""Matches any tag."""
INTEGER, BIT_STRING, OCTET_STRING, OID, BMP_STRING, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x1E, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18

_CONSTRUCTED = 0x20
_SEGMENTED = OCTET_STRING | _CONSTRUCTED
_LONG_TAG = 0x1F
_INDEFINITE = 0x80
_END = b"\0\0"
_MAX_LENGTH_OCTETS = 4
_MAX_OID_OCTETS = 32
_CONTINUES = 0x80
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 32


class DerError(Exception):
    """The encoding is not the expected one. Functions that other packages call do not raise this error."""


def context_tag(number: int) -> int:
    """Return the tag of a constructed context-specific element, ``[number]`` in ASN.1."""
    return 0xA0 | number


@dataclass(frozen=True, slots=True, repr=False)
class Node:
    """One element.

    Args:
        data: bytes that contain the element; the other fields are offsets in them.
        start: start of the element.
        body: start of its contents.
        stop: end of its contents.
        end: start of the next element, after the end marker of an indefinite length.
    """

    data: bytes
    start: int
    body: int
    stop: int
    end: int

    @property
    def tag(self) -> int:
        """The identifier octet."""
        return self.data[self.start]

    @property
    def content(self) -> bytes:
        """The contents octets."""
        return self.data[self.body : self.stop]

    @property
    def encoding(self) -> bytes:
        """The whole element as it is in the file."""
        return self.data[self.start : self.end]

    def expect(self, *tags: int) -> Node:
        """Return the element itself. It must have one of the *tags*; an OCTET STRING may be segmented."""
        if self.tag not in tags and (self.tag != _SEGMENTED or OCTET_STRING not in tags):
            raise DerError
        return self

    def children(self) -> tuple[Node, ...]:
        """Return the elements inside."""
        if not self.tag & _CONSTRUCTED:
            raise DerError
        found: list[Node] = []
        at = self.body
        while at < self.stop:
            if len(found) == _MAX_ELEMENTS:
                raise DerError
            found.append(_node(self.data, at, self.stop))
            at = found[-1].end
        return tuple(found)

    def fields(self, *tags: int) -> tuple[Node, ...]:
        """Return the children. The first ones must have these *tags*; more may follow."""
        children = self.children()
        if len(children) < len(tags):
            raise DerError
        for child, tag in zip(children, tags, strict=False):
            if tag != ANY:
                child.expect(tag)
        return children

    def octets(self, depth: int = 0) -> bytes:
        """Return the contents of an OCTET STRING, which may be segmented or tagged implicitly."""
        if not self.tag & _CONSTRUCTED:
            return self.content
        if depth == _MAX_DEPTH:
            raise DerError
        return b"".join(child.expect(OCTET_STRING).octets(depth + 1) for child in self.children())

    def integer(self) -> int:
        """Return the value of an INTEGER."""
        return int.from_bytes(self.expect(INTEGER).content, "big", signed=True)

    def oid(self) -> str:
        """Return the value of an OBJECT IDENTIFIER in dots."""
        content = self.expect(OID).content
        if not content or len(content) > _MAX_OID_OCTETS or content[-1] & _CONTINUES:
            raise DerError
        arcs, value = [], 0
        for octet in content:
            value = value << 7 | octet & 0x7F
            if not octet & _CONTINUES:
                arcs.append(value)
                value = 0
        root = min(arcs[0] // 40, 2)
        return ".".join(map(str, (root, arcs[0] - 40 * root, *arcs[1:])))


def first(data: bytes) -> Node:
    """Return the element at the start of *data*."""
    return _node(data, 0, len(data))


def parse(data: bytes) -> Node:
    """Return the single element in *data*.

    Raises:
        DerError: The data is not one element, or more bytes follow.
    """
    node = first(data)
    if node.end != len(data):
        raise DerError
    return node


def _node(data: bytes, start: int, limit: int) -> Node:
    body, stop = _header(data, start, limit)
    if stop is not None:
        return Node(data, start, body, stop, stop)
    at, depth = body, 0
    for _ in range(_MAX_ELEMENTS):
        if data[at : at + 2] == _END:
            if depth == 0:
                return Node(data, start, body, at, at + 2)
            at, depth = at + 2, depth - 1
            continue
        inner, stop = _header(data, at, limit)
        if stop is None:
            at, depth = inner, depth + 1
        else:
            at = stop
        if depth == _MAX_DEPTH:
            break
    raise DerError


def _header(data: bytes, at: int, limit: int) -> tuple[int, int | None]:
    """Return the start and the end of the contents; the end is None for an indefinite length."""
    if at + 2 > limit or data[at] & _LONG_TAG == _LONG_TAG:
        raise DerError
    length, body = data[at + 1], at + 2
    if length == _INDEFINITE:
        if not data[at] & _CONSTRUCTED:
            raise DerError
        return body, None
    if length > _INDEFINITE:
        count = length & 0x7F
        if count > _MAX_LENGTH_OCTETS or body + count > limit:
            raise DerError
        length, body = int.from_bytes(data[body : body + count], "big"), body + count
    if body + length > limit:
        raise DerError
    return body, body + length
