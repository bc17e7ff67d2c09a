"""Issues certificates as leaves under a one-time root, and recognizes them (R31)."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ios_mdm.core.pair.certificate_times import BACKDATED
from ios_mdm.core.pair.definition import MAX_VALIDITY_DAYS, KeyType
from ios_mdm.core.x509.names import dns_names
from ios_mdm.core.x509.one_time_root import CURVE, Form
from ios_mdm.core.x509.pem import UNREADABLE, chain
from ios_mdm.core.x509.signatures import is_self_signed, is_signed_by
from ios_mdm.core.x509.values import Credential
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

__all__ = ["is_issued", "issue", "key_type", "validity"]

_SECOND = timedelta(seconds=1)  # notAfter is inclusive (RFC 5280, 4.1.2.5)
_DAY = timedelta(days=1)
_SERIAL_NUMBER_BITS = 128
_EXPONENT = 65537
_MAX_HOST = 253  # RFC 1035, 2.3.4, without the final dot
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}", re.IGNORECASE)  # an all-digit last label is an IP address
_RSA_BITS = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def validity(days: int) -> timedelta:
    """Return notAfter - notBefore of a certificate with a validity of *days* days."""
    return days * _DAY - _SECOND


def issue(
    host: str, *, key: KeyType, validity_days: int, now: datetime, max_validity: timedelta | None = None
) -> Credential:
    """Return a new certificate for *host* with its private key and its one-time root.

    Keys and serial numbers are random, so that two calls never return the same certificate.

    Args:
        host: connection address without its port, a DNS name of A-labels (RFC 5890).
        key: type and size of the key.
        validity_days: days between notBefore and notAfter, including the last second.
        now: time of issue, aware UTC, whole seconds; the validity starts :data:`BACKDATED` earlier.
        max_validity: notAfter - notBefore of main if a reserve is issued (R8), else None.

    Raises:
        DefinitionError: *host* is not a DNS name, or the validity is less than a day, longer than Apple accepts, or
            longer than *max_validity*.
        ValueError: *now* is naive, not UTC, or has a fraction of a second.
    """
    if now.utcoffset() != timedelta(0) or now.microsecond:
        raise ValueError(f"now must be aware UTC in whole seconds, not {now!r}")
    if not _is_host(host):
        raise DefinitionError(f"cannot issue a certificate for {host!r}: the connection address must be a DNS name")
    _check_validity(host, validity_days, max_validity)
    private_key = _generate(key)
    leaf, root = _leaf_and_root(host, private_key, now.astimezone(UTC) - BACKDATED, validity_days)
    return Credential(
        certificate=leaf.public_bytes(Encoding.PEM).decode(),
        private_key=private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        root=root.public_bytes(Encoding.PEM).decode(),
        sha256=leaf.fingerprint(hashes.SHA256()).hex(),
    )


def _leaf_and_root(
    host: str, key: _PrivateKey, not_before: datetime, days: int
) -> tuple[x509.Certificate, x509.Certificate]:
    """Return a certificate for *key* and its root.

    The private key of the root exists in this function only. It must never be serialized or returned.
    """
    root_key = ec.generate_private_key(CURVE())
    try:
        form = Form(
            host=host,
            key=key.public_key(),
            root_key=root_key.public_key(),
            not_before=not_before,
            not_after=not_before + validity(days),
        )
        return form.leaf(_serial_number(), root_key), form.root(_serial_number(), root_key)
    finally:
        del root_key  # even if the traceback of an error keeps this frame alive


def _serial_number() -> int:
    return secrets.randbits(_SERIAL_NUMBER_BITS) or 1  # positive: RFC 5280, 4.1.2.2


def _is_host(text: str) -> bool:
    return len(text) <= _MAX_HOST and _HOST.fullmatch(text) is not None


def _check_validity(host: str, days: int, max_validity: timedelta | None) -> None:
    """Raise an error for a validity that violates Apple 103769 or R8."""
    if not 1 <= days <= MAX_VALIDITY_DAYS:
        raise DefinitionError(
            f"cannot issue a certificate for {host} that is valid for {days} days: "
            f"set validityDays to a value from 1 to {MAX_VALIDITY_DAYS}, because Apple's devices refuse more"
        )
    if max_validity is not None and validity(days) > max_validity:
        raise DefinitionError(
            f"cannot issue a reserve for {host} that is valid for {days} days, because the main certificate is valid "
            f"for {(max_validity + _SECOND) // _DAY} days: lower validityDays of the reserve to at most this value"
        )


def _generate(key: KeyType) -> _PrivateKey:
    """Return a new private key."""
    if key is KeyType.EC_P256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_RSA_BITS[key])


def key_type(pem: str) -> KeyType | None:
    """Return the key type of the first certificate in *pem*, or None if certificates of this type are never issued.

    Raises:
        CertificateError: *pem* holds anything besides certificates, or cannot be read.
    """
    return _key_type(chain(pem)[0])


def _key_type(certificate: x509.Certificate) -> KeyType | None:
    try:
        key = certificate.public_key()
    except UNREADABLE:
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return next((kind for kind, bits in _RSA_BITS.items() if bits == key.key_size), None)
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    return KeyType.EC_P256 if is_p256 else None


def is_issued(certificates: Sequence[x509.Certificate]) -> bool:
    """Return whether the certificates are a leaf and its one-time root exactly as :func:`issue` creates them (R31).

    Both certificates are built again from their host, keys, dates and serial numbers. The signed bytes must be equal,
    and the root's key must have made both signatures.

    Args:
        certificates: chain from the leaf upwards, including the root.
    """
    try:
        leaf, root = certificates
        (host,) = dns_names(leaf)
        key, root_key = leaf.public_key(), root.public_key()
        not_before, not_after = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    except UNREADABLE:
        return False
    if (
        not isinstance(root_key, ec.EllipticCurvePublicKey)
        or not isinstance(root_key.curve, CURVE)
        or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        or _key_type(leaf) is None
        or (isinstance(key, rsa.RSAPublicKey) and key.public_numbers().e != _EXPONENT)
        or not _is_host(host)
        or (not_after - not_before + _SECOND) % _DAY
        or not 1 <= (not_after - not_before + _SECOND) // _DAY <= MAX_VALIDITY_DAYS
    ):
        return False
    form = Form(host=host, key=key, root_key=root_key, not_before=not_before, not_after=not_after)
    other = ec.generate_private_key(CURVE())
    try:
        again = (form.leaf(leaf.serial_number, other), form.root(root.serial_number, other))
    except UNREADABLE:
        return False
    is_same = all(
        one.tbs_certificate_bytes == made.tbs_certificate_bytes for one, made in zip(certificates, again, strict=True)
    )
    return is_same and is_self_signed(root) and is_signed_by(leaf, root)
