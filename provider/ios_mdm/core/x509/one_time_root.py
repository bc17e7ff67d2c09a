"""The exact fields of an issued certificate and of its one-time root (R31).

Devices trust the root, whose private key no longer exists. Both certificates are restricted:

- The leaf is not a CA, and its keyUsage lacks keyCertSign. Every verifier that checks the basicConstraints of issuers
  refuses a certificate signed with the leaf's key.
- The root can issue leaves only (pathLen 0). Its nameConstraints permit only the connection address and exclude every
  IP address, because RFC 5280, 4.2.1.10 restricts only the listed name forms. E-mail and URI names are not listed,
  because the leaf's extendedKeyUsage is serverAuth. A dNSName constraint includes the subdomains of the host.
- The root's subject contains the start of its key identifier. Verifiers choose an issuer by subject and key identifier,
  so that the roots of main and reserve are never confused, even without an authority key identifier in the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CURVE", "Form", "PublicKey"]

CURVE = ec.SECP384R1
"""Curve of the root's key."""

_IDENTIFIER_BYTES = 8  # bytes of the key identifier in the root's subject, enough to distinguish the roots of all pairs
_MAX_COMMON_NAME = 64  # ub-common-name of RFC 5280, appendix A.1

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Everything that determines a leaf and its root, except serial numbers and signatures.

    Args:
        host: connection address without its port, a DNS name of A-labels (RFC 5890).
        key: public key of the leaf.
        root_key: public key of the root, on :data:`CURVE`.
        not_before: start of the validity of both certificates, aware UTC, whole seconds.
        not_after: end of the validity of both certificates, inclusive.
    """

    host: str
    key: PublicKey
    root_key: ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime

    def leaf(self, serial_number: int, signer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        """Return the leaf, signed by *signer*.

        Raises:
            ValueError: A certificate cannot contain a value of the form.
        """
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            # RFC 8813, 3 forbids keyEncipherment for EC keys.
            (_key_usage("digital_signature", *["key_encipherment"] * isinstance(self.key, rsa.RSAPublicKey)), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.SubjectAlternativeName([x509.DNSName(self.host)]), False),
            (x509.SubjectKeyIdentifier.from_public_key(self.key), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._root_identifier), False),
        )
        return self._signed_certificate(x509.Name(_host_name(self.host)), self.key, serial_number, extensions, signer)

    def root(self, serial_number: int, signer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        """Return the root, signed by *signer*. Raises as :meth:`leaf`."""
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_key_usage("key_cert_sign"), True),
            (
                x509.NameConstraints(
                    permitted_subtrees=[x509.DNSName(self.host)],
                    excluded_subtrees=[x509.IPAddress(IPv4Network("0.0.0.0/0")), x509.IPAddress(IPv6Network("::/0"))],
                ),
                True,
            ),
            (self._root_identifier, False),
        )
        return self._signed_certificate(self._root_subject, self.root_key, serial_number, extensions, signer)

    @property
    def _root_identifier(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self.root_key)

    @property
    def _root_subject(self) -> x509.Name:
        unit = f"One-time root {self._root_identifier.digest[:_IDENTIFIER_BYTES].hex()}"
        return x509.Name([*_host_name(self.host), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)])

    def _signed_certificate(
        self,
        subject: x509.Name,
        key: PublicKey,
        serial_number: int,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...],
        signer: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=self._root_subject,
            subject_name=subject,
            public_key=key,
            serial_number=serial_number,
            not_valid_before=self.not_before,
            not_valid_after=self.not_after,
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer, hashes.SHA384())


def _host_name(host: str) -> list[x509.NameAttribute[str]]:
    """Return CN=*host*, or the host's domain components (RFC 2247) if it is too long for a CN.

    A shortened CN would name another host.
    """
    if len(host) <= _MAX_COMMON_NAME:
        return [x509.NameAttribute(NameOID.COMMON_NAME, host)]
    return [x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in reversed(host.split("."))]


def _key_usage(*usages: str) -> x509.KeyUsage:
    bits = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: bit in usages for bit in (*bits, *more)})
