"""Rules for the strength of the keys and signatures of the whole chain, including the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from ios_mdm.core.library import attempt
from ios_mdm.core.rules.model import Remark, violation
from ios_mdm.core.rules.roles import MIN_ROOT_RSA_BITS, replacement_advice
from ios_mdm.core.x509.key_form import key_form
from ios_mdm.core.x509.limits import MIN_RSA_BITS
from ios_mdm.core.x509.names import display_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["hashes_are_sha2", "key_types_are_known", "root_key_is_large", "rsa_keys_are_large"]

_SHA2 = (hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512)
_WITH_SHA512 = {SignatureAlgorithmOID.ED25519}  # RFC 8032, 5.1; the rule for key types refuses its key


def rsa_keys_are_large(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R25: every RSA key of the chain has at least 2048 bits. For EC keys, R28 checks the curve."""
    for certificate in candidate.chain:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
            yield violation(
                "rsa-too-small",
                certificate,
                f"an RSA key of {key.key_size} bits",
                f"at least {MIN_RSA_BITS} bits",
                replacement_advice(certificate, candidate, context, how="with a larger key"),
            )


def root_key_is_large(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R26: the RSA key of the root has at least 4096 bits. For EC keys, R28 checks the curve."""
    if candidate.root is None:
        yield Remark(message="the chain has no root to check", is_applicable=False, is_notice=False)
        return
    key = candidate.root.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_ROOT_RSA_BITS:
        yield violation(
            "root-rsa-too-small",
            candidate.root,
            f"an RSA key of {key.key_size} bits",
            f"at least {MIN_ROOT_RSA_BITS} bits in a root",
            replacement_advice(candidate.root, candidate, context, how="with a larger key"),
        )


def hashes_are_sha2(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R27: every signature of the chain, including that of the root, uses SHA-2. SHA-224 passes with a remark."""
    for certificate in candidate.chain:
        algorithm = attempt(lambda: certificate.signature_hash_algorithm)  # noqa: B023 - called at once
        wrong = [name for name, family in _hashes(certificate, algorithm) if not family]
        if wrong:
            yield violation(
                "hash-not-sha2",
                certificate,
                f"a signature with {wrong[0]}",
                "a signature with SHA-256, SHA-384 or SHA-512",
                replacement_advice(certificate, candidate, context, how="with SHA-256"),
            )
        elif isinstance(algorithm, hashes.SHA224):
            yield Remark(
                message=f"{display_name(certificate)} is signed with SHA-224: Apple's App Transport Security requires "
                "SHA-256"
            )


def key_types_are_known(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R28: every key is RSA, or EC on P-256, P-384 or P-521, in a form that TLS servers and devices can use."""
    for certificate in candidate.chain:
        form = key_form(certificate)
        if not form.is_allowed:
            yield violation(
                "key-type",
                certificate,
                form.name,
                "RSA, or EC on P-256, P-384 or P-521",
                replacement_advice(certificate, candidate, context, how="with such a key"),
            )
        elif form.doubt:
            yield Remark(message=f"{display_name(certificate)} has {form.name}, {form.doubt}")


def _hashes(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm | None) -> Iterator[tuple[str, bool]]:
    """Yield the name of each hash that the signature uses, and whether it belongs to the SHA-2 family."""
    oid = certificate.signature_algorithm_oid
    if oid in _WITH_SHA512:
        return
    if algorithm is None:
        yield f"an algorithm that cannot be verified ({oid.dotted_string})", False
        return
    yield _name(algorithm), isinstance(algorithm, _SHA2)
    if oid == SignatureAlgorithmOID.RSASSA_PSS:
        parameters = attempt(lambda: certificate.signature_algorithm_parameters)
        if not isinstance(parameters, padding.PSS):
            yield "an unknown mask (RSA-PSS)", False
            return
        mask = parameters.mgf._algorithm  # noqa: SLF001 - there is no public way to ask
        yield f"{_name(mask)} in its mask (RSA-PSS)", isinstance(mask, _SHA2)


def _name(algorithm: hashes.HashAlgorithm) -> str:
    """Return the common name of a hash: SHA-1, SHA-256, SHA3-256."""
    name = algorithm.name.upper()
    return name.replace("SHA", "SHA-", 1) if name.startswith("SHA") and "-" not in name else name
