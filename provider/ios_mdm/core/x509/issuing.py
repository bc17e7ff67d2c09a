"""Issues self-signed certificates whose key can vouch for one connection address and nothing else (R31).

Such a certificate becomes a trust anchor on every device, so it is narrowed three times over:

- keyUsage lacks keyCertSign. No verifier then accepts a certificate that this key signed, not even one for the
  same address. RFC 5280, 4.2.1.9 forbids a pathLenConstraint without keyCertSign, so there is none.
- nameConstraints permit the address alone and exclude every IP address: RFC 5280, 4.2.1.10 restricts only the name
  forms that are listed. E-mail and URI names are left out, because serverAuth already makes them worthless. A dNSName
  constraint cannot tell a host from its subdomains: the leading dot that would is no RFC 5280, and verifiers disagree.
- extendedKeyUsage is serverAuth.

CA:TRUE is what lets iOS list the certificate among those that a person can trust.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ios_mdm.core.pair.definition import LONGEST_VALIDITY_DAYS, KeyType
from ios_mdm.core.pair.moments import BACKDATED
from ios_mdm.core.x509.pem import UNREADABLE, chain
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.core.x509.values import Credential
from ios_mdm.errors import DefinitionError

__all__ = ["is_issued_here", "issue", "key_type", "validity"]

_SECOND = timedelta(seconds=1)  # notAfter is inclusive (RFC 5280, 4.1.2.5)
_DAY = timedelta(days=1)
_SERIAL_NUMBER_BITS = 128
_COMMON_NAME_LIMIT = 64  # ub-common-name of RFC 5280, appendix A.1
_HOST_LIMIT = 253  # RFC 1035, 2.3.4, without the root's dot
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}", re.IGNORECASE)  # an all-digit last label is an IP address
_RSA_BITS = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def validity(days: int) -> timedelta:
    """Return notAfter - notBefore of a certificate that is issued for this number of *days*."""
    return days * _DAY - _SECOND


def issue(
    host: str, *, key: KeyType, validity_days: int, now: datetime, longest: timedelta | None = None
) -> Credential:
    """Return a new self-signed certificate for *host* with its private key.

    Two calls never give the same certificate: key and serial number are random.

    Args:
        host: the connection address without its port, a DNS name of A-labels (RFC 5890).
        key: type and size of the key.
        validity_days: notAfter - notBefore is this number of days, less the inclusive last second.
        now: the moment of issue, aware UTC, whole seconds; validity starts :data:`BACKDATED` earlier.
        longest: main's notAfter - notBefore, where a reserve is issued (R8).

    Raises:
        DefinitionError: *host* is no DNS name, or the validity is less than a day, more than Apple accepts, or more
            than *longest*.
        ValueError: *now* is naive, not UTC, or has a fraction of a second.
    """
    if now.utcoffset() != timedelta(0) or now.microsecond:
        raise ValueError(f"now must be aware UTC in whole seconds, not {now!r}")
    if len(host) > _HOST_LIMIT or not _HOST.fullmatch(host):
        raise DefinitionError(f"cannot issue a certificate for {host!r}: the connection address must be a DNS name")
    _check_validity(host, validity_days, longest)
    private_key = _generate(key)
    certificate = _self_signed(host, private_key, now.astimezone(UTC) - BACKDATED, validity_days)
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return Credential(
        certificate=pem,
        private_key=private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        root=pem,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _check_validity(host: str, days: int, longest: timedelta | None) -> None:
    """Refuse a validity that Apple (103769) or R8 refuses."""
    if not 1 <= days <= LONGEST_VALIDITY_DAYS:
        raise DefinitionError(
            f"cannot issue a certificate for {host} that is valid for {days} days: "
            f"set validityDays to 1 to {LONGEST_VALIDITY_DAYS} (Apple's devices refuse longer ones)"
        )
    if longest is not None and validity(days) > longest:
        raise DefinitionError(
            f"cannot issue a reserve for {host} that is valid for {days} days: it must not be valid for longer than "
            f"the main certificate, which is for {(longest + _SECOND) // _DAY} days. Lower the reserve's validityDays"
        )


def _generate(key: KeyType) -> _PrivateKey:
    """Return a new private key."""
    if key is KeyType.EC_P256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[key])


def _subject(host: str) -> x509.Name:
    """Return CN=*host*, or for a host that is too long for a CN its domain components (RFC 2247).

    The subject must not be empty in a CA certificate (RFC 5280, 4.1.2.6), and a shortened CN would name another host.
    """
    if len(host) <= _COMMON_NAME_LIMIT:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    return x509.Name([x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in reversed(host.split("."))])


def _key_usage(key: _PrivateKey) -> x509.KeyUsage:
    """Return digitalSignature, with keyEncipherment for RSA only: RFC 8813, 3 forbids that for EC keys."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=isinstance(key, rsa.RSAPrivateKey),
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,  # R31
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _self_signed(host: str, key: _PrivateKey, not_before: datetime, days: int) -> x509.Certificate:
    """Return the certificate that R31 describes."""
    subject = _subject(host)
    address = x509.DNSName(host)
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (_key_usage(key), True),
        (
            x509.NameConstraints(
                permitted_subtrees=[address],
                excluded_subtrees=[x509.IPAddress(IPv4Network("0.0.0.0/0")), x509.IPAddress(IPv6Network("::/0"))],
            ),
            True,
        ),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([address]), False),
        (key_identifier, False),
        # Main and reserve have one subject. Without this, OpenSSL may take one for the issuer of the other, and refuse.
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier), False),
    )
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=secrets.randbits(_SERIAL_NUMBER_BITS) or 1,  # positive: RFC 5280, 4.1.2.2
        not_valid_before=not_before,
        not_valid_after=not_before + validity(days),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def key_type(pem: str) -> KeyType | None:
    """Return the type of the key of the first certificate in *pem*, or None if no certificate is issued for such a key.

    Raises:
        CertificateError: As :func:`chain`.
    """
    leaf = chain(pem)[0]
    try:
        key = leaf.public_key()
    except UNREADABLE:
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return next((kind for kind, bits in _RSA_BITS.items() if bits == key.key_size), None)
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    return KeyType.EC_P256 if is_p256 else None


def is_issued_here(pem: str) -> bool:
    """Tell whether the first certificate in *pem* has the shape of those that are issued here (R31).

    Self-signed, a CA by its basicConstraints and none by its keyUsage, which nobody else makes.
    """
    leaf = chain(pem)[0]
    try:
        authority = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        narrowed = leaf.extensions.get_extension_for_class(x509.NameConstraints).critical
    except (*UNREADABLE, x509.ExtensionNotFound):
        return False
    return authority and narrowed and not usage.key_cert_sign and is_self_signed(leaf)
