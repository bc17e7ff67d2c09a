"""Checks a bundle against every rule, and chooses the path to a root that breaks the fewest rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ios_mdm.core.rules.authority import (
    extensions_are_known,
    issuers_are_authorities,
    keys_may_be_used,
    leaf_is_no_authority,
    paths_are_long_enough,
    purpose_is_server,
)
from ios_mdm.core.rules.constraints import names_are_permitted
from ios_mdm.core.rules.dates import certificates_are_valid, reserve_outlives_apply_time, validity_is_short_enough
from ios_mdm.core.rules.identity import key_belongs, name_matches
from ios_mdm.core.rules.model import Check, Remark, Report, Rule, Violation
from ios_mdm.core.rules.path import chain_is_complete, issuers_match, root_is_known
from ios_mdm.core.rules.policies import required_policies_are_present
from ios_mdm.core.rules.proof import proof, untried_proof
from ios_mdm.core.rules.second_opinion import second_opinion
from ios_mdm.core.rules.strength import hashes_are_sha2, key_types_are_known, root_key_is_large, rsa_keys_are_large
from ios_mdm.core.x509.chain import Candidate, candidates
from ios_mdm.core.x509.links import Link, is_unbroken
from ios_mdm.core.x509.needed import check_missing_issuer
from ios_mdm.core.x509.oddities import unusual_fields
from ios_mdm.core.x509.signatures import is_self_signed

if TYPE_CHECKING:
    from cryptography import x509

    from ios_mdm.core.bundle import Bundle, BundleError
    from ios_mdm.core.rules.model import Context


__all__ = ["RULES", "Judgment", "best_judgment", "report", "unread_report"]

RULES: tuple[Rule, ...] = (
    Rule(requirement="R19", title="A DNS name of the SAN is the connection address", findings=name_matches),
    Rule(requirement="R20", title="Each certificate is issued by the next one", findings=issuers_match),
    Rule(requirement="R21", title="The whole chain is valid now", findings=certificates_are_valid),
    Rule(requirement="R21", title="A reserve outlives the apply time and main", findings=reserve_outlives_apply_time),
    Rule(requirement="R22", title="The chain leads to a self-signed root", findings=chain_is_complete),
    Rule(requirement="R23", title="The extended key usage has serverAuth", findings=purpose_is_server),
    Rule(requirement="R24", title="The root is that of the current certificate", findings=root_is_known),
    Rule(requirement="R25", title="RSA keys have at least 2048 bits", findings=rsa_keys_are_large),
    Rule(requirement="R26", title="The root's RSA key has at least 4096 bits", findings=root_key_is_large),
    Rule(requirement="R27", title="Every signature uses SHA-2", findings=hashes_are_sha2),
    Rule(requirement="R28", title="The private key belongs to the certificate", findings=key_belongs),
    Rule(requirement="R28", title="The certificate is valid for at most 825 days", findings=validity_is_short_enough),
    Rule(requirement="R28", title="A certificate issued by a CA is not a CA", findings=leaf_is_no_authority),
    Rule(requirement="R28", title="Issuers are CAs", findings=issuers_are_authorities),
    Rule(requirement="R28", title="Path lengths are respected", findings=paths_are_long_enough),
    Rule(requirement="R28", title="Key usages fit", findings=keys_may_be_used),
    Rule(requirement="R28", title="Name constraints are respected", findings=names_are_permitted),
    Rule(requirement="R28", title="All critical extensions are known", findings=extensions_are_known),
    Rule(requirement="R28", title="Required certificate policies are present", findings=required_policies_are_present),
    Rule(requirement="R28", title="Keys are RSA, or EC P-256, P-384 or P-521", findings=key_types_are_known),
)
"""Every rule. A new rule is one function and one line here."""

_ISSUER_RULES = (
    certificates_are_valid,
    reserve_outlives_apply_time,
    purpose_is_server,
    rsa_keys_are_large,
    root_key_is_large,
    hashes_are_sha2,
    issuers_are_authorities,
    keys_may_be_used,
    names_are_permitted,
    extensions_are_known,
    key_types_are_known,
)
"""Rules whose findings about an issuer do not depend on the rest of the path."""

_READ = "The file can be read, and holds a private key and its certificate"
_SANE = "The file needs a reasonable number of key derivation rounds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """A certificate with its chain, and the report of the rules."""

    candidate: Candidate
    report: Report


def best_judgment(bundle: Bundle, context: Context) -> Judgment:
    """Return the server certificate of a bundle, with the path to a root that breaks the fewest rules.

    Raises:
        BundleError: The bundle has several private keys, and not exactly one is for the connection address. Or the
            server's certificate is missing, or a certificate that is needed cannot be read (R18).
    """
    wanted = context.wanted_root
    roots = () if wanted is None else (wanted,)
    found: list[Judgment] = []
    faults = partial(_issuer_faults, bundle, context)
    for candidate in candidates(bundle, host=context.host, trust=context.trust, roots=roots, faults=faults):
        judgment = Judgment(candidate=candidate, report=report(candidate, context, notices=bundle.notices))
        if judgment.report.is_valid:
            return judgment
        found.append(judgment)
    best = min(found, key=_faults)
    if best.candidate.root is None:
        check_missing_issuer(bundle, best.candidate.chain[-1])
    return best


def report(candidate: Candidate, context: Context, *, notices: tuple[str, ...] = ()) -> Report:
    """Return the report of every rule about a certificate and its chain, and of the handshakes if no rule is broken.

    Args:
        candidate: certificate with its chain.
        context: facts that the rules check the certificate against.
        notices: notices about the file, one line each.
    """
    checks = [_check(rule, candidate, context) for rule in RULES]
    odd = (notice for certificate in candidate.chain for notice in unusual_fields(certificate))
    shown_notices = [*notices, *candidate.notices, *odd, *(notice for check in checks for notice in check.notices)]
    checks.append(untried_proof() if any(check.violations for check in checks) else proof(candidate, context))
    found = Report(checklist=(Check(requirement="R18", title=_READ), *checks))
    if found.is_valid and (opinion := second_opinion(candidate, context)) is not None:
        shown_notices.append(opinion)
    return Report(checklist=found.checklist, notices=tuple(dict.fromkeys(shown_notices)))


def unread_report(error: BundleError) -> Report:
    """Return the report of a file that cannot be read, or whose server certificate is ambiguous (R18)."""
    requirement, title = ("R28", _SANE) if error.code == "too-many-iterations" else ("R18", _READ)
    broken = Violation(
        code=error.code,
        subject="the file",
        found=_FOUND[error.code],
        required=_REQUIRED[error.code],
        message=str(error),
    )
    return Report(checklist=(Check(requirement=requirement, title=title, violations=(broken,)),))


_FOUND = {
    "unreadable": "a file that cannot be read",
    "bad-password": "a file that this password does not open",
    "no-key": "no private key, or not exactly one for the connection address",
    "no-certificate": "no certificate",
    "too-many-iterations": "too many rounds of key derivation",
}
_REQUIRED = {
    "unreadable": "PEM, PFX or P12",
    "bad-password": "the file's password",
    "no-key": "one private key for the connection address",
    "no-certificate": "a certificate with its private key",
    "too-many-iterations": "a number of rounds that usual tools write",
}


def _faults(judgment: Judgment) -> tuple[bool, bool, int]:
    """Return the sort key. Complete chains sort first, because an incomplete chain has fewer certificates to check."""
    return (
        judgment.candidate.root is None,
        not is_unbroken(judgment.candidate.links),
        len(judgment.report.violations),
    )


def _issuer_faults(bundle: Bundle, context: Context, leaf: x509.Certificate, issuer: x509.Certificate) -> int:
    """Return the number of violations of the rules about a single issuer, plus those of the leaf."""
    root = issuer if is_self_signed(issuer) else None
    pair = Candidate(leaf=leaf, key=bundle.keys[0], chain=(leaf, issuer), links=(Link.VERIFIED,), root=root)
    return sum(isinstance(one, Violation) for rule in _ISSUER_RULES for one in rule(pair, context))


def _check(rule: Rule, candidate: Candidate, context: Context) -> Check:
    findings = tuple(rule.findings(candidate, context))
    remarks = [one for one in findings if isinstance(one, Remark)]
    return Check(
        requirement=rule.requirement,
        title=rule.title,
        violations=tuple(one for one in findings if isinstance(one, Violation)),
        remarks=tuple(one.message for one in remarks),
        notices=tuple(one.message for one in remarks if one.is_notice),
        is_applicable=all(one.is_applicable for one in remarks),
    )
