"""Builds certificate chains without and with defects, and runs other verifiers on them.

A chain is described by values, built from the root downwards, and really signed. Certificates that the library refuses
to sign (SHA-1, MD5, end before start) are assembled from DER.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from ios_mdm.core.bundle import Bundle
from tests.support.key_forms import public_key_in_form, tlv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "ANY",
    "CLIENT",
    "DAY",
    "HOST",
    "ISSUING",
    "LEAF",
    "NOW",
    "ROOT",
    "SERVER",
    "Chain",
    "Made",
    "SelfSigned",
    "Spec",
    "cryptography_accepts",
    "key",
    "openssl_accepts",
    "pem",
    "private_pem",
]

HOST = "mdm.example.com"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
DAY = timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
_EXPONENT = 65537
_CURVES = {
    "p224": ec.SECP224R1(),
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "k256": ec.SECP256K1(),
}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey


@cache
def key(kind: str, owner: str = "") -> PrivateKey:
    """Return the key of *owner* of this kind (``rsa-2048``, ``p256``, ``ed25519``, ``dsa``), created once."""
    del owner  # it is in the cache's key
    if kind.startswith("rsa-"):
        size = int(kind.removeprefix("rsa-"))
        return _odd_rsa(size) if size % 2 else rsa.generate_private_key(_EXPONENT, size)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(1024)  # noqa: S505 - quick to generate, and refused because of its type
    return ec.generate_private_key(_CURVES[kind])


def _odd_rsa(size: int) -> rsa.RSAPrivateKey:
    """Return a key of an odd size, from a larger and a smaller prime: OpenSSL does not generate such keys."""
    larger, smaller = (rsa.generate_private_key(_EXPONENT, size + step).private_numbers() for step in (1, -1))
    p, q = larger.p, smaller.p
    exponent = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=exponent,
        dmp1=rsa.rsa_crt_dmp1(exponent, p),
        dmq1=rsa.rsa_crt_dmq1(exponent, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    ).private_key()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Description of a certificate.

    Args:
        name: common name, or a whole name; "" for an empty subject.
        key: kind of key.
        owner: owner of the key: certificates of the same kind and owner share one key.
        hash: hash of its signature.
        pss: whether to sign with RSA-PSS, its mask with the same hash.
        days: start and end of its validity, in days from :data:`NOW`.
        inverted: whether to put the end before the start.
        ca: CA flag of the basic constraints; None for no basic constraints.
        path_length: path length of the basic constraints.
        usages: bits of the key usage; None for no key usage.
        purposes: extended key usages; None for no extension.
        sans: DNS names, or any other general names.
        permitted: permitted subtrees of the name constraints.
        excluded: excluded subtrees of the name constraints.
        unknown: whether to add an unknown critical extension.
        identifiers: whether to add the key identifiers of subject and issuer.
        issuer: name of the issuer; None for the name of the next certificate.
        signer: kind and owner of the signing key; None for the key of the next certificate.
        outer: hash in the outer algorithm identifier; None for the hash of the inner one.
        form: form of the public key, see :func:`public_key_in_form`; empty for the usual one.
        extensions: further extensions, each with its criticality.
        san_is_critical: criticality of the subjectAltName; None for critical if *name* is empty.
        key_identifier: form of the authority key identifier: ``key``, ``serial`` for issuer and serial number, or
            ``both``; applies only with *identifiers*.
        serial_number: serial number; None for a random one.
        times: notBefore and notAfter as text of a GeneralizedTime, instead of *days*.
    """

    name: str | x509.Name
    key: str = "p256"
    owner: str = ""
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    pss: bool = False
    days: tuple[float, float] = (-10, 390)
    inverted: bool = False
    ca: bool | None = None
    path_length: int | None = None
    usages: tuple[str, ...] | None = None
    purposes: tuple[x509.ObjectIdentifier, ...] | None = None
    sans: tuple[str | x509.GeneralName, ...] = ()
    permitted: tuple[x509.GeneralName, ...] | None = None
    excluded: tuple[x509.GeneralName, ...] | None = None
    unknown: bool = False
    identifiers: bool = True
    issuer: str | x509.Name | None = None
    signer: tuple[str, str] | None = None
    outer: hashes.HashAlgorithm | None = None
    form: str = ""
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    san_is_critical: bool | None = None
    key_identifier: str = "key"
    serial_number: int | None = None
    times: tuple[str, str] | None = None

    @property
    def private(self) -> PrivateKey:
        """Its private key."""
        return key(self.key, self.owner or str(self.name))

    def but(self, **changes: Any) -> Spec:
        """Return a copy with changes."""
        return replace(self, **changes)


LEAF = Spec(name=HOST, owner="leaf", ca=False, usages=("digital_signature",), purposes=(SERVER,), sans=(HOST,))
ISSUING = Spec(name="Issuing", ca=True, path_length=0, usages=("key_cert_sign", "crl_sign"), days=(-900, 1800))
ROOT = Spec(name="Root", key="p384", ca=True, usages=("key_cert_sign", "crl_sign"), days=(-1800, 3600))


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A chain with its keys.

    Args:
        chain: certificates from the leaf up to the root.
        keys: their private keys, in the same order.
    """

    chain: tuple[x509.Certificate, ...]
    keys: tuple[PrivateKey, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The server's certificate."""
        return self.chain[0]

    @property
    def root(self) -> x509.Certificate:
        """The self-signed certificate."""
        return self.chain[-1]

    def bundle(self, *others: x509.Certificate, without: Sequence[x509.Certificate] = ()) -> Bundle:
        """Return the bundle that a file with this chain is read as."""
        certificates = [one for one in (*self.chain, *others) if one not in without]
        return Bundle(certificates=tuple(certificates), keys=(self.keys[0],))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Description of a chain: a server's certificate, issuing CAs and a root, all correct unless changed."""

    leaf: Spec = LEAF
    issuing: tuple[Spec, ...] = (ISSUING,)
    root: Spec = ROOT

    def but(
        self,
        *,
        leaf: dict[str, Any] | None = None,
        issuing: dict[str, Any] | None = None,
        root: dict[str, Any] | None = None,
    ) -> Chain:
        """Return a copy with changed certificates; the changes in *issuing* apply to each issuing CA."""
        return Chain(
            leaf=self.leaf.but(**leaf or {}),
            issuing=tuple(one.but(**issuing or {}) for one in self.issuing),
            root=self.root.but(**root or {}),
        )

    def make(self) -> Made:
        """Sign all certificates."""
        specs = (self.leaf, *self.issuing, self.root)
        uppers = (*specs[1:], self.root)
        tops = (*uppers[1:], self.root)
        chain = tuple(_signed_certificate(*three) for three in zip(specs, uppers, tops, strict=True))
        return Made(chain=chain, keys=tuple(spec.private for spec in specs))


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfSigned:
    """Description of a self-signed certificate without a CA."""

    leaf: Spec = field(default_factory=lambda: LEAF.but(ca=None, usages=None))

    def make(self) -> Made:
        """Sign the certificate."""
        return Made(chain=(_signed_certificate(self.leaf, self.leaf, self.leaf),), keys=(self.leaf.private,))


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def private_pem(private: PrivateKey) -> bytes:
    """Return a private key as PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def openssl_accepts(
    made: Sequence[x509.Certificate], folder: Path, *, host: str = HOST, at: datetime = NOW, strict: bool = False
) -> bool:
    """Return whether ``openssl verify`` accepts a chain, root last, for a server of this name at a given time."""
    leaf, root, untrusted = folder / "leaf.pem", folder / "root.pem", folder / "untrusted.pem"
    leaf.write_bytes(pem(made[0]))
    root.write_bytes(pem(made[-1]))
    untrusted.write_bytes(pem(*made[1:-1]))
    command = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", host, "-CAfile", str(root)]
    command += ["-no-CApath", "-no-CAstore", "-attime", str(int(at.timestamp()))]
    command += ["-x509_strict"] * strict + ["-untrusted", str(untrusted)] * (len(made) > 2)
    return subprocess.run([*command, str(leaf)], capture_output=True, check=False).returncode == 0


def cryptography_accepts(
    made: Sequence[x509.Certificate], *, host: str = HOST, at: datetime = NOW, private: bool = False
) -> bool:
    """Return whether cryptography accepts a chain, root last: by its defaults, or with a policy for *private* CAs.

    The defaults are for CAs of the web: they refuse certificates without key identifiers, and roots without key usage.
    """
    builder = PolicyBuilder().store(Store([made[-1]])).time(at)
    if private:
        anything = Criticality.AGNOSTIC
        issuers, servers = ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.webpki_defaults_ee()
        builder = builder.extension_policies(
            ca_policy=issuers.may_be_present(x509.AuthorityKeyIdentifier, anything, None)
            .may_be_present(x509.SubjectKeyIdentifier, anything, None)
            .may_be_present(x509.KeyUsage, anything, _may_sign),
            ee_policy=servers.may_be_present(x509.AuthorityKeyIdentifier, anything, None),
        )
    try:
        verifier = builder.build_server_verifier(x509.DNSName(host))
        verifier.verify(made[0], list(made[1:-1]))
    except (VerificationError, ValueError):
        return False
    return True


def _may_sign(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer must be allowed to sign certificates")


def _name(text: str | x509.Name) -> x509.Name:
    if isinstance(text, x509.Name):
        return text
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _signed_certificate(spec: Spec, upper: Spec, top: Spec) -> x509.Certificate:
    """Return the certificate that *spec* describes, issued by *upper*, whose certificate *top* issued."""
    start, end = (NOW + days * DAY for days in spec.days)
    builder = x509.CertificateBuilder(
        issuer_name=_name(upper.name if spec.issuer is None else spec.issuer),
        subject_name=_name(spec.name),
        public_key=spec.private.public_key(),
        serial_number=spec.serial_number or x509.random_serial_number(),
        not_valid_before=start.replace(microsecond=0),
        not_valid_after=end.replace(microsecond=0),
    )
    signer = upper.private if spec.signer is None else key(*spec.signer)
    for extension, critical in _extensions(spec, upper, top):
        builder = builder.add_extension(extension, critical=critical)
    mask = padding.PSS(padding.MGF1(spec.hash), padding.PSS.DIGEST_LENGTH) if spec.pss else None
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return builder.sign(signer, None)
    odd = isinstance(spec.hash, hashes.SHA1 | hashes.MD5)
    made = builder.sign(signer, hashes.SHA256() if odd else cast("hashes.SHA256", spec.hash), rsa_padding=mask)
    if odd or spec.inverted or spec.outer is not None or spec.form or spec.times:
        return _signed_by_hand(made, signer, spec)
    return made


def _extensions(spec: Spec, upper: Spec, top: Spec) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if spec.ca is not None:
        found.append((x509.BasicConstraints(ca=spec.ca, path_length=spec.path_length if spec.ca else None), True))
    if spec.usages is not None:
        found.append((_usage(spec.usages), True))
    if spec.purposes is not None:
        found.append((x509.ExtendedKeyUsage(spec.purposes), False))
    if spec.sans:
        names = [x509.DNSName(one) if isinstance(one, str) else one for one in spec.sans]
        critical = not spec.name if spec.san_is_critical is None else spec.san_is_critical
        found.append((x509.SubjectAlternativeName(names), critical))
    if spec.permitted or spec.excluded:
        found.append((x509.NameConstraints(spec.permitted, spec.excluded), True))
    if spec.unknown:
        found.append((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), True))
    if spec.identifiers:
        own = x509.SubjectKeyIdentifier.from_public_key(spec.private.public_key())
        found += [(own, False), (_authority_key_identifier(spec, upper, top), False)]
    return [*found, *spec.extensions]


def _authority_key_identifier(spec: Spec, upper: Spec, top: Spec) -> x509.AuthorityKeyIdentifier:
    above = x509.SubjectKeyIdentifier.from_public_key(upper.private.public_key())
    digest = None if spec.key_identifier == "serial" else above.digest
    if spec.key_identifier == "key":
        return x509.AuthorityKeyIdentifier(digest, None, None)
    assert upper.serial_number is not None
    issuer = top.name if upper.issuer is None else upper.issuer
    return x509.AuthorityKeyIdentifier(digest, [x509.DirectoryName(_name(issuer))], upper.serial_number)


def _usage(usages: Sequence[str]) -> x509.KeyUsage:
    bits = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: bit in usages for bit in (*bits, *more)})


_RSA = bytes.fromhex("06092a864886f70d0101")  # the prefix of sha…WithRSAEncryption
_RSA_ALGORITHMS = {"md5": 4, "sha1": 5, "sha224": 14, "sha256": 11, "sha384": 12, "sha512": 13}
_EC = bytes.fromhex("06082a8648ce3d0403")  # the prefix of ecdsa-with-SHA2…
_EC_SHA1 = bytes.fromhex("06072a8648ce3d0401")
_EC_ALGORITHMS = {"sha224": 1, "sha256": 2, "sha384": 3, "sha512": 4}
_GENERALIZED = 2050  # first year with four digits in times (RFC 5280, 4.1.2.5)


def _signed_by_hand(made: x509.Certificate, signer: PrivateKey, spec: Spec) -> x509.Certificate:
    """Return the certificate with its hash, dates or outer algorithm changed, signed again."""
    inner = _algorithm(signer, spec.hash)
    content = _content(made.tbs_certificate_bytes).replace(_algorithm(signer, hashes.SHA256()), inner, 1)
    if spec.inverted:
        times = [_time(one) for one in (made.not_valid_before_utc, made.not_valid_after_utc)]
        assert times[0] + times[1] in content
        content = content.replace(times[0] + times[1], times[1] + times[0], 1)
    if spec.times:
        usual = b"".join(_time(one) for one in (made.not_valid_before_utc, made.not_valid_after_utc))
        wanted = b"".join(tlv(0x18, one.encode()) for one in spec.times)
        content = content.replace(tlv(0x30, usual), tlv(0x30, wanted), 1)
    if spec.form:
        public = made.public_key()
        usual = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        content = content.replace(usual, public_key_in_form(public, spec.form), 1)
    tbs = tlv(0x30, content)
    outer = inner if spec.outer is None else _algorithm(signer, spec.outer)
    signature = _signature(signer, tbs, spec.outer or spec.hash)
    return x509.load_der_x509_certificate(tlv(0x30, tbs + outer + tlv(0x03, b"\0" + signature)))


def _algorithm(signer: PrivateKey, algorithm: hashes.HashAlgorithm) -> bytes:
    if isinstance(signer, rsa.RSAPrivateKey):
        return tlv(0x30, _RSA + bytes((_RSA_ALGORITHMS[algorithm.name],)) + b"\x05\0")
    if isinstance(algorithm, hashes.SHA1):
        return tlv(0x30, _EC_SHA1)
    return tlv(0x30, _EC + bytes((_EC_ALGORITHMS[algorithm.name],)))


def _signature(signer: PrivateKey, content: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    if isinstance(signer, rsa.RSAPrivateKey):
        return signer.sign(content, padding.PKCS1v15(), algorithm)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return signer.sign(content, ec.ECDSA(algorithm))


def _time(moment: datetime) -> bytes:
    if moment.year < _GENERALIZED:
        return tlv(0x17, f"{moment:%y%m%d%H%M%SZ}".encode())
    return tlv(0x18, f"{moment:%Y%m%d%H%M%SZ}".encode())


def _content(element: bytes) -> bytes:
    """Return the content of a DER element."""
    return element[2 + (element[1] & 0x7F if element[1] & 0x80 else 0) :]
