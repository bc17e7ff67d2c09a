"""Runs the path validation of cryptography on a chain that passes all rules.

The validation knows more than the rules, but it also refuses chains that the rules must accept: unusual private roots,
SHA-224, constraints on directory names. Therefore its objection is a notice, not a violation.

It is asked with its own policy, the profile of public CAs, except for the requirements that ordinary private CAs do not
meet: ``openssl req -x509`` makes roots without a key usage, easy-rsa writes authority key identifiers with a serial
number, and many CAs write no key identifiers or non-critical basic constraints. With the whole profile, nearly every
private CA would have a notice.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from ios_mdm.core.rules.constraints import comparisons
from ios_mdm.core.x509.names import excerpt

if TYPE_CHECKING:
    from ios_mdm.core.rules.model import Context
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["second_opinion"]

_MAX_COMPARISONS = 1 << 17  # of names with constraints; the library needs about a microsecond for each
_ANY = Criticality.AGNOSTIC


def second_opinion(candidate: Candidate, context: Context) -> str | None:
    """Return the objection of the library's path validation, or None if it accepts the chain.

    A self-signed certificate is its own trust anchor, so it has no path to validate.
    """
    if candidate.root is None or candidate.is_own_root:
        return None
    if comparisons(candidate) > _MAX_COMPARISONS:
        return "the chain has too many names and name constraints for a strict validation: some clients might refuse it"
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


@cache
def _authorities() -> ExtensionPolicy:
    """Return the policy for issuers."""
    return (
        ExtensionPolicy.webpki_defaults_ca()
        .require_present(x509.BasicConstraints, _ANY, None)
        .may_be_present(x509.KeyUsage, _ANY, None)
        .may_be_present(x509.NameConstraints, _ANY, None)
        .may_be_present(x509.AuthorityKeyIdentifier, _ANY, None)
        .may_be_present(x509.SubjectKeyIdentifier, _ANY, None)
    )


@cache
def _servers() -> ExtensionPolicy:
    """Return the policy for the server certificate."""
    return ExtensionPolicy.webpki_defaults_ee().may_be_present(x509.AuthorityKeyIdentifier, _ANY, None)
