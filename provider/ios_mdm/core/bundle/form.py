"""Finds the parts of a file in any form: PEM, DER, or Base64 of either, and names files that have no such part.

The content of a part determines its kind. The label of a PEM block counts only if its content is not recognized.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final

from ios_mdm.core import der
from ios_mdm.core.bundle import pem
from ios_mdm.core.bundle.encoding import utf16_encoding
from ios_mdm.core.bundle.foreign import foreign_form
from ios_mdm.core.bundle.model import unreadable_error
from ios_mdm.core.bundle.structure import is_pfx
from ios_mdm.core.library import attempt

if TYPE_CHECKING:
    from ios_mdm.core.bundle.pem import Block
    from ios_mdm.core.der import Node

__all__ = ["DAMAGED", "MAX_BUNDLE_BYTES", "Kind", "Part", "part_names", "parts", "skipped_parts_notice"]

MAX_BUNDLE_BYTES = 1 << 20
"""Size limit of a file in bytes."""
DAMAGED = "the file is damaged or cut off: its parts do not fit together. Copy or export it again"

_NO_FORM = "the file is neither PEM nor PFX (P12) nor DER: export the certificate in one of these formats"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BLANK = "\ufeff\0 \t\r\n"
_MAX_DEPTH = 4  # of Base64 in Base64
_MAX_SHOWN = 5


class Kind(Enum):
    """Kind of a part. The value is its name in messages."""

    CERTIFICATE = "certificate"
    PKCS7 = "PKCS #7 structure"
    PFX = "PFX"
    KEY = "private key"
    ENCRYPTED_KEY = "encrypted private key"
    PARAMETERS = "block of parameters"
    REQUEST = "certificate request"
    REVOCATION_LIST = "revocation list"
    PUBLIC_KEY = "public key"
    OTHER = "block of another kind"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Part:
    """A part of a file.

    Args:
        kind: kind of the part.
        data: DER or BER of the part. The contents of an encrypted key in a PEM block with ``DEK-Info``.
        label: label of the PEM block; empty for a binary file.
        dek_info: value of the ``DEK-Info`` header, which names the encryption of the block; None if there is none.
    """

    kind: Kind
    data: bytes
    label: str = ""
    dek_info: str | None = None


_LABELS: Final = {
    "CERTIFICATE": Kind.CERTIFICATE,
    "X509 CERTIFICATE": Kind.CERTIFICATE,
    "TRUSTED CERTIFICATE": Kind.CERTIFICATE,
    "PKCS7": Kind.PKCS7,
    "CMS": Kind.PKCS7,
    "PKCS #7 SIGNED DATA": Kind.PKCS7,
    "PKCS12": Kind.PFX,  # as GnuTLS writes it
    "PRIVATE KEY": Kind.KEY,
    "RSA PRIVATE KEY": Kind.KEY,
    "EC PRIVATE KEY": Kind.KEY,
    "DSA PRIVATE KEY": Kind.KEY,
    "ENCRYPTED PRIVATE KEY": Kind.ENCRYPTED_KEY,
    "EC PARAMETERS": Kind.PARAMETERS,
    "DH PARAMETERS": Kind.PARAMETERS,
    "DSA PARAMETERS": Kind.PARAMETERS,
    "CERTIFICATE REQUEST": Kind.REQUEST,
    "NEW CERTIFICATE REQUEST": Kind.REQUEST,
    "X509 CRL": Kind.REVOCATION_LIST,
    "PUBLIC KEY": Kind.PUBLIC_KEY,
    "RSA PUBLIC KEY": Kind.PUBLIC_KEY,
}


_STRUCTURES: Final[dict[tuple[int, ...], Kind]] = {
    (der.OID, der.context_tag(0)): Kind.PKCS7,
    (der.SEQUENCE, der.OCTET_STRING): Kind.ENCRYPTED_KEY,
    (der.SEQUENCE, der.BIT_STRING): Kind.PUBLIC_KEY,
    (der.INTEGER, der.INTEGER): Kind.PUBLIC_KEY,  # PKCS #1
}
"""Kinds by the tags of their elements."""


def parts(data: bytes) -> tuple[Part, ...]:
    """Return the parts of a file, at least one, in its order.

    Raises:
        BundleError: The file is too large, has no part, or is damaged. No bytes cause another error.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise unreadable_error(
            f"the file is larger than {MAX_BUNDLE_BYTES >> 10} KiB: keep only the server's key and certificates"
        )
    found = _recognized_parts(data, depth=0)
    if found:
        return found
    if not _text(data).strip(_BLANK):
        raise unreadable_error("the file is empty: export the certificate again")
    raise unreadable_error(DAMAGED if data[0] == der.SEQUENCE else _NO_FORM)


def part_names(given: list[Part]) -> str:
    """Return the names of parts for a message, with their numbers; empty if there are no parts."""
    numbers: dict[str, int] = {}
    for part in given:
        name = f"block {part.label}" if part.kind is Kind.OTHER else part.kind.value
        numbers[name] = numbers.get(name, 0) + 1
    names = [name if count == 1 else f"{name} ({count} times)" for name, count in numbers.items()]
    more = f" and {len(names) - _MAX_SHOWN} other kinds of parts" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more


def skipped_parts_notice(skipped: list[Part]) -> str | None:
    """Return one notice for all parts that are not needed, or None if there are none."""
    return f"not needed, ignored: {part_names(skipped)}" if skipped else None


def _recognized_parts(data: bytes, *, depth: int) -> tuple[Part, ...]:
    """Return the parts of a file; empty if its form is not recognized."""
    if (node := _element(data)) is not None:
        kind = _kind(node)
        return () if kind is None else (Part(kind=kind, data=node.encoding),)
    text = _text(data)
    if blocks := pem.blocks(text):
        return tuple(part for block in blocks for part in _block_parts(block, depth))
    if (name := foreign_form(data, text)) is not None:
        raise unreadable_error(name)
    inner = _base64_content(text) if depth < _MAX_DEPTH else None
    return () if inner is None else _recognized_parts(inner, depth=depth + 1)


def _element(data: bytes) -> Node | None:
    """Return the SEQUENCE of a binary file, or None for any other file."""
    if not data or data[0] != der.SEQUENCE:
        return None
    try:
        node = der.first(data)
    except der.DerError:
        return None
    return None if data[node.end :].strip() else node


def _text(data: bytes) -> str:
    """Return the text, decoded as Latin-1 if not UTF-16, because the text around the ASCII blocks may have any byte."""
    encoding = utf16_encoding(data)
    return data.decode("latin-1") if encoding is None else data.decode(encoding, "replace")


def _base64_content(text: str) -> bytes | None:
    """Return the contents of a text that is Base64 as a whole, also in its form for URLs; None for another text."""
    bare = "".join(text.removeprefix("\xef\xbb\xbf").strip(_BLANK).split())
    if not _BASE64.fullmatch(bare):
        return None
    bare = bare.rstrip("=").translate(str.maketrans("-_", "+/"))
    return attempt(partial(base64.b64decode, bare + "=" * (-len(bare) % 4), validate=True))


def _block_parts(block: Block, depth: int) -> tuple[Part, ...]:
    """Return the part in a PEM block, or the parts if the block contains a PEM file."""
    label = block.label
    if block.dek_info is not None:
        return (Part(kind=Kind.ENCRYPTED_KEY, data=block.data, label=label, dek_info=block.dek_info),)
    by_label = _LABELS.get(label)
    if by_label is None and label.endswith("PRIVATE KEY"):
        raise unreadable_error(
            f"the format of a private key is not supported ({label}): convert an OpenSSH key with "
            "ssh-keygen -p -m PKCS8 -f KEY. A key that cannot be exported from its hardware cannot be used"
        )
    if by_label is Kind.PARAMETERS:
        return (Part(kind=by_label, data=block.data, label=label),)
    node = _first_element(block.data)
    if node is None:
        inner = () if depth == _MAX_DEPTH else _recognized_parts(block.data, depth=depth + 1)
        return inner or (Part(kind=by_label or Kind.OTHER, data=block.data, label=label),)
    # In OpenSSL's TRUSTED CERTIFICATE, the trusted purposes follow the certificate.
    data = node.encoding if label == "TRUSTED CERTIFICATE" else block.data
    return (Part(kind=_kind(node) or by_label or Kind.OTHER, data=data, label=label),)


def _first_element(data: bytes) -> Node | None:
    """Return the SEQUENCE at the start of a block, or None if there is none."""
    try:
        return der.first(data).expect(der.SEQUENCE)
    except der.DerError:
        return None


def _kind(node: Node) -> Kind | None:
    """Return the kind of an element by its structure, or None if the structure is unknown."""
    try:
        tags = tuple(child.tag for child in node.expect(der.SEQUENCE).children())
        if tags == (der.SEQUENCE, der.SEQUENCE, der.BIT_STRING):
            return _signed_kind(node.children()[0])
        if tags[:1] == (der.INTEGER,) and len(tags) > 1 and tags != (der.INTEGER, der.INTEGER):
            return Kind.PFX if is_pfx(node) else Kind.KEY
        return _STRUCTURES.get(tags)
    except der.DerError:
        pass
    return None


def _signed_kind(content: Node) -> Kind:
    """Return the kind of a signed element: a certificate, a request (RFC 2986) or a revocation list (RFC 5280, 5)."""
    tags = [child.tag for child in content.children()]
    if tags in ([der.INTEGER, der.SEQUENCE, der.SEQUENCE], [der.INTEGER, der.SEQUENCE, der.SEQUENCE, 0xA0]):
        return Kind.REQUEST
    after_version = tags[1:] if tags[:1] == [der.INTEGER] else tags
    is_list = after_version[:2] == [der.SEQUENCE] * 2 and after_version[2:3] in ([der.UTC_TIME], [der.GENERALIZED_TIME])
    return Kind.REVOCATION_LIST if is_list else Kind.CERTIFICATE
