"""The value of a pair's secret: a certificate, its private key and its root as JSON.

No error of this module carries anything that it was given, neither in its message nor as its context (R29).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.pem import UNREADABLE, CertificateError, chain
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.core.x509.values import Credential
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["MAX_BYTES", "credential_from_json", "credential_to_json", "stored_size", "unfit"]

MAX_BYTES = 65_536
"""Bytes that AWS Secrets Manager takes as the value of a secret."""

_PRIVATE_KEY = re.compile(r"\s*-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----\s*")

_CERTIFICATE_KEY, _PRIVATE_KEY_KEY, _ROOT_KEY = "tls.crt", "tls.key", "ca.crt"


def credential_to_json(credential: Credential) -> str:
    """Return the secret value that holds *credential*: JSON with ``ca.crt``, ``tls.crt`` and ``tls.key``, all PEM.

    The same in both slots, so that a consumer of main notices nothing of a promotion but a new certificate.

    Raises:
        CertificateError: :func:`credential_from_json` would refuse the value.
    """
    problem = unfit(credential)
    if problem is not None:
        raise CertificateError(f"certificate {credential.sha256} cannot be kept: {problem}")
    return _json(credential)


def stored_size(credential: Credential) -> int:
    """Return the number of bytes that the secret value of *credential* has."""
    return len(_json(credential).encode())


def _json(credential: Credential) -> str:
    value = {
        _CERTIFICATE_KEY: credential.certificate,
        _PRIVATE_KEY_KEY: credential.private_key,
        _ROOT_KEY: credential.root,
    }
    return json.dumps(value, sort_keys=True)


def credential_from_json(value: str, *, where: str = "a version of the secret") -> Credential:
    """Return the credential in a secret's *value*.

    Args:
        value: what :func:`credential_to_json` returned.
        where: the secret and version that it comes from, for messages.

    Raises:
        StoreError: The value is no such JSON, a part of it cannot be read, the chain is not one, or the private key is
            not the certificate's.
    """
    advice = "Somebody else wrote it: put back what was there, or delete that version"
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):  # json's own error quotes the whole document
        fields = None
    if (
        not isinstance(fields, dict)
        or fields.keys() != {_CERTIFICATE_KEY, _PRIVATE_KEY_KEY, _ROOT_KEY}
        or not all(isinstance(field, str) for field in fields.values())
    ):
        raise StoreError(f"{where} is not JSON with exactly tls.crt, tls.key and ca.crt as texts. {advice}")
    credential = Credential(
        certificate=fields[_CERTIFICATE_KEY], private_key=fields[_PRIVATE_KEY_KEY], root=fields[_ROOT_KEY], sha256=""
    )
    problem = unfit(credential)
    if problem is not None:
        raise StoreError(f"{where}: {problem}. {advice}")
    return replace(credential, sha256=fingerprint(chain(credential.certificate)[0]))


def unfit(credential: Credential) -> str | None:
    """Return why no pair can hold a credential: its parts cannot be read or do not belong together; None if it can."""
    try:
        certificates, roots = chain(credential.certificate), chain(credential.root)
    except CertificateError as error:
        return str(error)
    if len(roots) != 1 or not is_self_signed(roots[0]):
        return "ca.crt is not one self-signed root"
    # Names only: the rules of a custom certificate (R20, R22) were checked against its chain before it was stored.
    path = certificates if certificates[-1] == roots[0] else (*certificates, roots[0])
    if any(lower.issuer != upper.subject for lower, upper in pairwise(path)):
        return "tls.crt and ca.crt are not one chain"
    fits = _is_key_of(credential.private_key, certificates[0])
    return None if fits else "tls.key is not the PKCS#8 key of the certificate"


def _is_key_of(private_key: str, certificate: x509.Certificate) -> bool:
    """Tell whether the private key, unencrypted PKCS#8 PEM, belongs to the certificate."""
    if not _PRIVATE_KEY.fullmatch(private_key):
        return False
    try:
        # Validating an RSA-4096 key takes 300 ms and more, at every look at the secret.
        key = load_pem_private_key(private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        return key.public_key() == certificate.public_key() and _has_private_half(key)
    except UNREADABLE:
        return False


def _has_private_half(key: PrivateKeyTypes) -> bool:
    """Return whether the private half of a key belongs to its public half.

    An RSA key in PKCS#8 has its public numbers in it, which anyone can copy from a certificate: the other numbers must
    be those of RFC 8017, 3.2. A trial signature would not do, because OpenSSL can hang with made-up numbers. For other
    types, the library checks a key when it reads it.
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
