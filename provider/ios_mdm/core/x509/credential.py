"""The value of a pair's secret: a certificate, its private key and its root as JSON.

No error of this module contains any part of its input, neither in its message nor as its context (R29).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.names import name_parts
from ios_mdm.core.x509.pem import UNREADABLE, CertificateError, chain
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.core.x509.values import Credential
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = [
    "MAX_BYTES",
    "credential_from_json",
    "credential_of",
    "credential_problem",
    "credential_to_json",
    "stored_size",
]

MAX_BYTES = 65_536
"""Size limit of AWS Secrets Manager for the value of a secret, in bytes."""

_PRIVATE_KEY = re.compile(r"\s*-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----\s*")

_CERTIFICATE_KEY, _PRIVATE_KEY_KEY, _ROOT_KEY = "tls.crt", "tls.key", "ca.crt"


def credential_of(chain_up: tuple[x509.Certificate, ...], key: PrivateKeyTypes, root: x509.Certificate) -> Credential:
    """Return the stored form of a certificate.

    Args:
        chain_up: leaf and its issuers; the root may be included.
        key: private key of the leaf.
        root: root of the chain.
    """
    leaf, *issuers = chain_up
    return Credential(
        certificate="".join(_pem(one) for one in (leaf, *issuers) if one is leaf or one != root),
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        root=_pem(root),
        sha256=fingerprint(leaf),
    )


def credential_to_json(credential: Credential) -> str:
    """Return the secret value of *credential*: JSON with ``ca.crt``, ``tls.crt`` and ``tls.key``, all PEM.

    The format is the same for main and reserve, so that a promotion changes only the certificate for its consumers.

    Raises:
        CertificateError: The parts of the credential do not belong together, or cannot be read.
    """
    problem = credential_problem(credential)
    if problem is not None:
        raise CertificateError(f"certificate {credential.sha256} cannot be stored: {problem}")
    return _json(credential)


def stored_size(credential: Credential) -> int:
    """Return the size of the secret value of *credential* in bytes."""
    return len(_json(credential).encode())


def _json(credential: Credential) -> str:
    value = {
        _CERTIFICATE_KEY: credential.certificate,
        _PRIVATE_KEY_KEY: credential.private_key,
        _ROOT_KEY: credential.root,
    }
    return json.dumps(value, sort_keys=True)


def credential_from_json(value: str, *, where: str = "a version of the secret") -> Credential:
    """Return the credential in the value of a secret.

    Args:
        value: secret value as returned by :func:`credential_to_json`.
        where: name of the secret and its version, for messages.

    Raises:
        StoreError: The value has another format, a part of it cannot be read, its certificates are not a chain, or the
            private key does not belong to the certificate.
    """
    advice = "This provider did not write the value: restore the former value, or delete this version"
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):  # json's own error quotes the whole document
        fields = None
    if (
        not isinstance(fields, dict)
        or fields.keys() != {_CERTIFICATE_KEY, _PRIVATE_KEY_KEY, _ROOT_KEY}
        or not all(isinstance(field, str) for field in fields.values())
    ):
        raise StoreError(f"{where} is not JSON with exactly the strings tls.crt, tls.key and ca.crt. {advice}")
    credential = Credential(
        certificate=fields[_CERTIFICATE_KEY], private_key=fields[_PRIVATE_KEY_KEY], root=fields[_ROOT_KEY], sha256=""
    )
    problem = credential_problem(credential)
    if problem is not None:
        raise StoreError(f"{where}: {problem}. {advice}")
    return replace(credential, sha256=fingerprint(chain(credential.certificate)[0]))


def credential_problem(credential: Credential) -> str | None:
    """Return the reason why a pair cannot store a credential, or None if its parts are readable and fit together."""
    try:
        certificates, roots = chain(credential.certificate), chain(credential.root)
    except CertificateError as error:
        return str(error)
    if len(roots) != 1 or not is_self_signed(roots[0]):
        return "ca.crt is not a single self-signed root"
    # Compares names only, and without case: R20 and R22 checked a custom certificate before it was stored. A chain
    # whose names differ in case only breaks R20, but can be adopted, because many clients accept it.
    path = certificates if certificates[-1] == roots[0] else (*certificates, roots[0])
    if any(name_parts(lower.issuer) != name_parts(upper.subject) for lower, upper in pairwise(path)):
        return "tls.crt and ca.crt are not a chain"
    fits = _is_key_of(credential.private_key, certificates[0])
    return None if fits else "tls.key is not the PKCS#8 key of the certificate"


def _is_key_of(private_key: str, certificate: x509.Certificate) -> bool:
    """Return whether the private key, unencrypted PKCS#8 PEM, belongs to the certificate."""
    if not _PRIVATE_KEY.fullmatch(private_key):
        return False
    try:
        # Validating an RSA-4096 key takes more than 300 ms, each time that the secret is read.
        key = load_pem_private_key(private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        return key.public_key() == certificate.public_key() and _has_private_half(key)
    except UNREADABLE:
        return False


def _has_private_half(key: PrivateKeyTypes) -> bool:
    """Return whether the private half of a key belongs to its public half.

    An RSA key in PKCS#8 contains its public numbers, which anyone can copy from a certificate. Therefore the other
    numbers are checked with RFC 8017, 3.2. A trial signature is not safe, because OpenSSL can hang with invalid
    numbers. The library checks keys of other types when it reads them.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        return True
    one = key.private_numbers()
    p, q, d, public = one.p, one.q, one.d, one.public_numbers
    return (
        min(p, q) > 1
        and p * q == public.n
        and public.e * d % (p - 1) == public.e * d % (q - 1) == 1
        and (one.dmp1, one.dmq1) == (d % (p - 1), d % (q - 1))
        and one.iqmp * q % p == 1
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
