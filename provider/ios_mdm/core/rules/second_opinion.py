"""Runs the path validation of cryptography on a chain that passes all rules.

The validation knows more than the rules, but it also refuses chains that the rules must accept: unusual private roots,
SHA-224, constraints on directory names. Therefore its objection is a notice, not a violation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from ios_mdm.core.x509.names import excerpt

if TYPE_CHECKING:
    from ios_mdm.core.rules.model import Context
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["second_opinion"]


def second_opinion(candidate: Candidate, context: Context) -> str | None:
    """Return the objection of the library's path validation, or None if it accepts the chain.

    A self-signed certificate is its own trust anchor, so it has no path to validate.
    """
    if candidate.root is None or candidate.is_own_root:
        return None
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([candidate.root]))
            .time(context.now)
            .max_chain_depth(len(candidate.chain))
            .extension_policies(ca_policy=_authorities(), ee_policy=_servers())
            .build_server_verifier(x509.DNSName(context.host))
        )
        verifier.verify(candidate.leaf, list(candidate.issuers[:-1]))
    except (VerificationError, ValueError) as error:
        return f"all rules pass, but strict validation refuses the chain, as some clients might: {excerpt(str(error))}"
    return None


def _authorities() -> ExtensionPolicy:
    """Return the policy for issuers, which is lenient because private CAs seldom meet all rules of public CAs."""
    anything = Criticality.AGNOSTIC
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, anything, None)
        .may_be_present(x509.KeyUsage, anything, None)
        .may_be_present(x509.NameConstraints, anything, None)
    )


def _servers() -> ExtensionPolicy:
    """Return the policy for the server certificate."""
    return ExtensionPolicy.permit_all().require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
