"""Asks cryptography's own path validation about a chain that no rule objects to.

It knows more than the rules do, and refuses what they must let pass: private roots of odd shapes, SHA-224, constraints
on directory names. So what it says is a notice, not a violation.
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

from ios_mdm.core.x509.names import short

if TYPE_CHECKING:
    from ios_mdm.core.rules.model import Context
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["second_opinion"]


def second_opinion(candidate: Candidate, context: Context) -> str | None:
    """Return what the library's path validation objects to, None where it accepts the chain.

    A self-signed certificate is its own trust anchor, for which there is no path to validate.
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
        return f"no rule is broken, but a strict validation refuses the chain, as some clients may: {short(str(error))}"
    return None


def _authorities() -> ExtensionPolicy:
    """Return what to ask of issuers: private CAs seldom have all that the web's must have."""
    anything = Criticality.AGNOSTIC
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, anything, None)
        .may_be_present(x509.KeyUsage, anything, None)
        .may_be_present(x509.NameConstraints, anything, None)
    )


def _servers() -> ExtensionPolicy:
    """Return what to ask of the server's certificate."""
    return ExtensionPolicy.permit_all().require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
