"""Proves that TLS clients accept a certificate that passes all rules, before it is called valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules.model import Check, Violation, violation
from ios_mdm.core.rules.reading import time_text
from ios_mdm.core.x509.credential import MAX_BYTES, credential_of, stored_size
from ios_mdm.core.x509.names import display_name

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from ios_mdm.core.rules.model import Context
    from ios_mdm.core.x509.chain import Candidate
    from ios_mdm.core.x509.handshakes import HandshakeFailure

__all__ = ["proof", "untried_proof"]

_REQUIREMENT, _TITLE = "R28", "TLS clients accept a handshake with it"

_CODES = {
    2: "chain-incomplete",
    6: "key-type",
    7: "issuer-mismatch",
    9: "not-yet-valid",
    10: "expired",
    13: "not-yet-valid",
    14: "expired",
    18: "root-mismatch",
    19: "root-mismatch",
    20: "chain-incomplete",
    21: "chain-incomplete",
    25: "path-length",
    26: "eku-missing",
    29: "issuer-mismatch",
    30: "issuer-mismatch",
    31: "issuer-mismatch",
    32: "key-usage",
    34: "critical-extension",
    39: "key-usage",
    41: "critical-extension",
    42: "critical-extension",
    43: "critical-extension",
    47: "name-constraints",
    48: "name-constraints",
    49: "name-constraints",
    51: "name-constraints",
    52: "name-constraints",
    53: "name-constraints",
    62: "san-mismatch",
    66: "rsa-too-small",
    67: "rsa-too-small",
    68: "hash-not-sha2",
    79: "not-a-ca",
    94: "key-type",
}
"""Violation code of each of OpenSSL's verification errors (``X509_V_ERR_…`` in x509_vfy.h) that a file can cause."""


def proof(candidate: Candidate, context: Context) -> Check:
    """Return the result of two handshakes with the certificate as it would be stored.

    A chain without a root has no result: no client could trust it, and a rule reports it (R22).
    """
    if candidate.root is None:
        return untried_proof()
    # pyOpenSSL and `ssl` take 20 ms to import, so they are loaded only here.
    from ios_mdm.core.x509.handshakes import handshake_failure

    at = _proof_time(context)
    stored = credential_of(candidate.chain, candidate.key, candidate.root)
    # Clients read more than a secret can hold, so a smaller chain has a size that they accept.
    if (size := stored_size(stored)) > MAX_BYTES:
        return Check(requirement=_REQUIREMENT, title=_TITLE, violations=(_too_large(candidate.leaf, size),))
    failure = handshake_failure(stored, host=context.host, at=at)
    broken = () if failure is None else (_violation(failure, context.host, at),)
    return Check(requirement=_REQUIREMENT, title=_TITLE, violations=broken)


def untried_proof() -> Check:
    """Return the result if another rule is broken."""
    remark = "not tried, because another rule is broken"
    return Check(requirement=_REQUIREMENT, title=_TITLE, remarks=(remark,), is_applicable=False)


def _proof_time(context: Context) -> datetime:
    """Return the time at which clients must accept the certificate: now, or the apply time of a reserve.

    If the apply time is unknown or past, it is now: a reserve must be valid now, too (R21).
    """
    if context.slot is Slot.MAIN or context.apply_at is None:
        return context.now
    return max(context.now, context.apply_at)


def _too_large(leaf: x509.Certificate, size: int) -> Violation:
    return violation(
        "unreadable",
        leaf,
        f"a certificate, chain and private key of {size:,} bytes",
        f"at most {MAX_BYTES:,} bytes, which a secret in AWS holds",
        "Have it issued again with fewer names, or with a shorter chain",
    )


def _violation(failure: HandshakeFailure, host: str, at: datetime) -> Violation:
    code = "key-mismatch" if failure.number is None else _CODES.get(failure.number, "chain-incomplete")
    subject = display_name(failure.certificate)
    found = f"a handshake that OpenSSL refuses: {failure.reason.rstrip('.')}"
    required = f"a handshake for {host} that TLS clients accept on {time_text(at)}"
    return Violation(
        code=code,
        subject=subject,
        found=found,
        required=required,
        message=f"{subject} has {found}; required: {required}. Every other rule passes: have the certificate issued "
        "again for a new key. If another TLS server can use this file, report the certificate, without its key, to the "
        "project ios-mdm",
    )
