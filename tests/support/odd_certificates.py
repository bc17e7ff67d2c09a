"""Certificates with fields that the library cannot read, and that OpenSSL and Go accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.core import der
from tests.support.bundles import oid, sequence, tlv
from tests.support.certificates import HOST, LEAF, ROOT, Chain, Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

__all__ = ["DEFECTS", "MADE", "ODD_ROOT", "changed_certificate", "common_name", "with_serial_number"]

_SHA256 = sequence(oid("1.2.840.10045.4.3.2"))
_MARK = "@@@@@@@@"
"""Name that a defect replaces with a value of the same length."""


def changed_certificate(certificate: x509.Certificate, signer: Spec, change: Callable[[bytes], bytes]) -> bytes:
    """Return a certificate, DER, with its contents changed and signed again; also the outer algorithm is changed."""
    content = der.parse(certificate.public_bytes(Encoding.DER)).children()[0].content
    tbs = sequence(change(content))
    private = signer.private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    signature = private.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return sequence(tbs, change(_SHA256), tlv(0x03, b"\0" + signature))


def common_name(tag: int, value: bytes) -> Callable[[bytes], bytes]:
    """Return the change of the common name ``@@@@@@@@`` into a string of this type and this value."""
    assert len(value) == len(_MARK)
    old = tlv(0x0C, _MARK.encode())
    return lambda content: content.replace(old, tlv(tag, value))


def with_serial_number(value: bytes) -> Callable[[bytes], bytes]:
    """Return the change of the serial number, an INTEGER with these contents."""

    def change(content: bytes) -> bytes:
        if content == _SHA256:
            return content
        version, serial, *others = der.parse(sequence(content)).children()
        return b"".join((version.encoding, tlv(serial.tag, value), *(one.encoding for one in others)))

    return change


def _extension(name: str, old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Return the change of the value of an extension with all lengths around it."""

    def change(content: bytes) -> bytes:
        if content == _SHA256:
            return content
        *fields, extensions = (child.encoding for child in der.parse(sequence(content)).children())
        found = [one.encoding for one in der.parse(extensions).children()[0].children()]
        if old:
            whole = oid(name) + b"\x01\x01\xff" + tlv(0x04, old)
            assert [one for one in found if whole in one]
            found = [sequence(oid(name), b"\x01\x01\xff", tlv(0x04, new)) if whole in one else one for one in found]
        else:
            found.append(sequence(oid(name), tlv(0x04, new)))
        return b"".join(fields) + tlv(0xA3, sequence(*found))

    return change


_explicit_false = _extension("2.5.29.19", sequence(), sequence(b"\x01\x01\x00"))
_duplicate_extension = _extension("2.5.29.19", b"", sequence())
_path_length = _extension("2.5.29.19", sequence(), sequence(b"\x02\x01\x00"))
_notice = sequence(oid("1.3.6.1.5.5.7.2.2"), sequence(tlv(0x1A, b"M\xfcnchen")))
_policies = _extension("2.5.29.32", b"", sequence(sequence(oid("1.2.3.4"), sequence(_notice))))


def _null(content: bytes) -> bytes:
    return content.replace(_SHA256, sequence(oid("1.2.840.10045.4.3.2"), b"\x05\x00"))


def _field(number: int, new: bytes) -> Callable[[bytes], bytes]:
    """Return the change of the field at this position."""

    def change(content: bytes) -> bytes:
        if content == _SHA256:
            return content
        fields = [one.encoding for one in der.parse(sequence(content)).children()]
        return b"".join((*fields[:number], new, *fields[number + 1 :]))

    return change


_address = _extension("2.5.29.17", b"", sequence(tlv(0x87, b"12345")))

DEFECTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "T61String with an umlaut": (common_name(0x14, b"M\xfcnchen "), "subject, attribute CN, T61String"),
    "PrintableString with an underscore": (common_name(0x13, b"a_server"), "subject, attribute CN, PrintableString"),
    "ECDSA with NULL": (_null, "signature algorithm"),
    "CA:FALSE written out": (_explicit_false, "extension basicConstraints"),
    "CA:FALSE with a path length": (_path_length, "extension basicConstraints"),
    "VisibleString that is not ASCII": (_policies, "extension certificatePolicies"),
    "version 5": (_field(0, tlv(0xA0, tlv(0x02, b"\x04"))), "version"),
    "serial number with a superfluous zero": (with_serial_number(b"\0\1"), "serial number"),
    "time without seconds": (_field(4, sequence(tlv(0x17, b"4101010000Z"), tlv(0x17, b"4201010000Z"))), "validity"),
    "IP address of five octets": (_address, "extension subjectAltName"),
    "extension twice": (_duplicate_extension, "extension basicConstraints"),
}
"""For each defect, the change of the contents of a certificate, and the field in messages."""

MADE = Chain(leaf=LEAF.but(name=_MARK, sans=(HOST,)), issuing=(), root=ROOT).make()
"""A server's certificate with the common name ``@@@@@@@@``, directly under its root."""
ODD_ROOT = Chain(leaf=LEAF, issuing=(), root=ROOT.but(name=_MARK)).make()
"""A chain whose root has the common name ``@@@@@@@@``."""
