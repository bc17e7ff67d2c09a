"""Finds the field of a certificate that the library cannot read.

The library reports a position in its own structures, and for some fields no position. Therefore each field is put into
a small valid certificate. If this certificate becomes unreadable, the field has a defect. The time is linear in the
size of the certificate.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography import x509

from ios_mdm.core import der
from ios_mdm.core.library import refusal
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.der import Node

__all__ = ["defect", "raw_key", "raw_subject", "read_every_part"]

_MAX_REASON = 120
_MAX_PROBES = 100  # of one list; only a hostile certificate has more extensions or parts of a name
_VERSION, _EXTENSIONS = der.context_tag(0), der.context_tag(3)
_FIELDS: Final = ("serial number", "signature algorithm", "issuer", "validity", "subject", "public key")
"""Fields after the version, in their order (RFC 5280, 4.1)."""
_SUBJECT, _KEY = _FIELDS.index("subject"), _FIELDS.index("public key")
_SOUND: Final = {
    "version": bytes.fromhex("a003020102"),
    "serial number": bytes.fromhex("020101"),
    "signature algorithm": bytes.fromhex("300a06082a8648ce3d040302"),
    "issuer": bytes.fromhex("3000"),
    "validity": bytes.fromhex("301e170d3430303130313030303030305a170d3430303130323030303030305a"),
    "subject": bytes.fromhex("3000"),
    "public key": bytes.fromhex(
        "302a300506032b65700321003b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    ),
    "extensions": b"",
}
"""Fields of the small certificate: an Ed25519 key and empty names."""
_EXTENSION_NAMES: Final = {
    "2.5.29.14": "subjectKeyIdentifier",
    "2.5.29.15": "keyUsage",
    "2.5.29.17": "subjectAltName",
    "2.5.29.18": "issuerAltName",
    "2.5.29.19": "basicConstraints",
    "2.5.29.30": "nameConstraints",
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.33": "policyMappings",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.36": "policyConstraints",
    "2.5.29.37": "extKeyUsage",
    "1.3.6.1.5.5.7.1.1": "authorityInfoAccess",
    "1.3.6.1.4.1.11129.2.4.2": "signedCertificateTimestamps",
}
_STRINGS: Final = {
    0x0C: "UTF8String",
    0x12: "NumericString",
    0x13: "PrintableString",
    0x14: "T61String",
    0x16: "IA5String",
    0x1A: "VisibleString",
    0x1C: "UniversalString",
    0x1E: "BMPString",
}
_ATTRIBUTE_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}


def read_every_part(certificate: x509.Certificate) -> tuple[object, ...]:
    """Read the parts of a certificate that the library decodes lazily and that the rules need."""
    return (
        certificate.subject,
        certificate.issuer,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.extensions,
        certificate.public_key(),
    )


def defect(data: bytes) -> str:
    """Return the field of a certificate that the library cannot read, with the reason of the library, for a message.

    Args:
        data: DER of a certificate that the library refuses.
    """
    for name, reason in _defects(data):
        return f"{name} ({_reason_text(reason)})"
    return f"encoding ({_reason_text(refusal(partial(_read, data)) or 'unknown')})"


def raw_subject(data: bytes) -> bytes | None:
    """Return the subject of a certificate, DER, or None if the certificate has no such field."""
    return _raw_field(data, _SUBJECT)


def raw_key(data: bytes) -> bytes | None:
    """Return the SubjectPublicKeyInfo of a certificate, DER, or None if the certificate has no such field."""
    return _raw_field(data, _KEY)


def _raw_field(data: bytes, index: int) -> bytes | None:
    try:
        return _fields(der.first(data))[index].encoding
    except (der.DerError, IndexError):
        return None


def _fields(certificate: Node) -> tuple[Node, ...]:
    """Return the fields after the version."""
    fields = certificate.fields(der.SEQUENCE)[0].children()
    return fields[1:] if fields and fields[0].tag == _VERSION else fields


def _defects(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield each field that the library cannot read, with the reason."""
    try:
        certificate = der.parse(data)
        content, algorithm, _ = certificate.fields(der.SEQUENCE, der.SEQUENCE, der.BIT_STRING)
        version, fields = content.children()[:1], _fields(certificate)
    except (der.DerError, ValueError):
        return
    if version and version[0].tag == _VERSION and (reason := _reason(version=version[0].encoding)) is not None:
        yield "version", reason
    for name, node in zip(_FIELDS, fields, strict=False):
        if (reason := _reason(**{name: node.encoding})) is not None:
            yield (f"{name}{_bad_attribute(node)}" if name in {"issuer", "subject"} else name), reason
    for node in fields[len(_FIELDS) :]:
        yield from _extension_defects(node) if node.tag == _EXTENSIONS else ()
    if (reason := _reason(**{"signature algorithm": algorithm.encoding})) is not None:
        yield "signature algorithm", reason


def _bad_attribute(name: Node) -> str:
    """Return the attribute of a name that the library cannot read, with the type of its value, or an empty text."""
    try:
        for relative in name.children()[:_MAX_PROBES]:
            if _reason(subject=_element(der.SEQUENCE, relative.encoding)) is None:
                continue
            kind, value = relative.children()[0].fields(der.OID, der.ANY)[:2]
            oid = kind.oid()
            return f", attribute {_ATTRIBUTE_NAMES.get(oid, oid)}, {_STRINGS.get(value.tag, f'type {value.tag}')}"
    except (der.DerError, IndexError):
        pass
    return ""


def _extension_defects(field: Node) -> Iterator[tuple[str, str]]:
    """Yield each extension that the library cannot read, and each that occurs twice."""
    try:
        extensions = field.fields(der.SEQUENCE)[0].children()[:_MAX_PROBES]
    except der.DerError:
        extensions = ()
    seen: set[str] = set()
    for one in extensions:
        try:
            oid = one.fields(der.OID)[0].oid()
        except der.DerError:
            continue
        name = f"extension {_EXTENSION_NAMES.get(oid, oid)}"
        if oid in seen:
            yield name, "it occurs twice"
        seen.add(oid)
        if (reason := _reason(extensions=_element(_EXTENSIONS, _element(der.SEQUENCE, one.encoding)))) is not None:
            yield name, reason
    if (reason := _reason(extensions=field.encoding)) is not None:
        yield "extensions", reason


def _reason(**changes: bytes) -> str | None:
    """Return the reason why the library cannot read the small certificate with these fields, or None if it can."""
    algorithm = _SOUND["signature algorithm"]
    content = _element(der.SEQUENCE, b"".join((_SOUND | changes).values()))
    return refusal(partial(_read, _element(der.SEQUENCE, content + algorithm + bytes.fromhex("030100"))))


def _read(data: bytes) -> object:
    return read_every_part(x509.load_der_x509_certificate(data))


def _element(tag: int, content: bytes) -> bytes:
    """Return a DER element."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - the short form of a length (X.690, 8.1.3)
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _reason_text(reason: str) -> str:
    return printable(reason.removeprefix("error parsing asn1 value: "), limit=_MAX_REASON)
