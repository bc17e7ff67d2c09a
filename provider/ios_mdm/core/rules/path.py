"""Rules for the chain: each certificate is issued by the next one, up to a root that devices trust."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules.model import Remark, violation
from ios_mdm.core.rules.reading import is_authority, joined_words
from ios_mdm.core.rules.roles import download_advice, twin_advice
from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.issuer_identifiers import contradiction
from ios_mdm.core.x509.links import Link, Pool
from ios_mdm.core.x509.names import display_name, distinct_name, excerpt, is_self_issued, name_difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["chain_is_complete", "issuers_match", "root_is_known"]


def issuers_match(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R20: the issuer of every certificate is the subject of the next one, whose key verifies its signature."""
    for (lower, upper), link in zip(pairwise(candidate.chain), candidate.links, strict=True):
        if link is Link.NAME_ONLY:
            yield violation(
                "issuer-mismatch",
                lower,
                f"a signature that the key of {distinct_name(upper, lower)} does not verify",
                "a signature made with the issuer's key",
                f"Replace {distinct_name(upper, lower)} with the CA certificate of the same name that issued it",
            )
        elif link is Link.KEY_ONLY:
            yield violation(
                "issuer-mismatch",
                lower,
                f"the issuer {_issuer(lower)}, but was signed with the key of {distinct_name(upper, lower)}"
                f"{_difference_note(lower.issuer, upper.subject)}",
                "an issuer that equals the subject of the next certificate, byte for byte",
                f"Replace {display_name(upper)} with the CA certificate whose subject is that issuer",
            )
        elif not _is_distinguished(lower, upper, candidate.chain):
            yield violation(
                "issuer-mismatch",
                lower,
                f"the issuer {_issuer(lower)}, a name that several certificates of the chain have, and no key "
                "identifier that distinguishes them",
                "an issuer name that only one certificate has, or an authority key identifier",
                "Have it issued again with an authority key identifier: without it, verifiers might choose the wrong "
                "issuer",
            )
        elif (reason := contradiction(lower, upper)) is not None:
            yield violation(
                "issuer-mismatch",
                lower,
                f"an authority key identifier {reason} of {distinct_name(upper, lower)}",
                "an authority key identifier that agrees with the issuer, because OpenSSL uses no other issuer",
                f"Replace {display_name(upper)} with the certificate that its CA currently publishes for this key",
            )
    root = candidate.root
    if root is not None and (reason := contradiction(root, root)) is not None:
        yield violation(
            "issuer-mismatch",
            root,
            f"an authority key identifier {reason} of the root itself",
            "an authority key identifier that agrees with the root, because OpenSSL searches for another issuer",
            "Have the root's certificate renewed with the same name and key",
        )
    for authority in candidate.issuers or (candidate.leaf,) * candidate.is_own_root:
        if not list(authority.subject):
            yield violation(
                "issuer-mismatch",
                authority,
                "an empty subject",
                "a subject in every certificate that issued another one (RFC 5280, 4.1.2.6)",
                "Have the CA's certificate issued again with a subject, and then the certificates below it",
            )
    strangers = [one for one in candidate.set_aside if is_authority(one) and not is_self_issued(one)]
    if candidate.root is None and strangers:
        yield violation(
            "issuer-mismatch",
            candidate.chain[-1],
            f"the issuer {_issuer(candidate.chain[-1])}, but the file holds "
            f"{joined_words(map(display_name, strangers), '')}",
            "the certificate of that issuer in the file",
            "Put the chain that its CA delivered with the certificate into the file",
        )


def chain_is_complete(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R22: the chain leads to a self-signed root. The root may be missing in the file if it is known otherwise."""
    if candidate.root is not None:
        return
    top = candidate.chain[-1]
    known = context.wanted_root
    known_root_note = "" if known is None else f"; the known root {display_name(known)} did not issue it"
    if is_self_issued(top):
        found = f"itself as issuer, but its own key does not verify its signature{known_root_note}"
        remedy = "Add the real root to the file or to `trust`"
    else:
        found = f"the issuer {_issuer(top)}, whose certificate is missing{known_root_note}"
        remedy = f"Add the certificate of {_issuer(top)} to the file or to `trust`{download_advice(top)}"
    if (advice := twin_advice(top, candidate, context)) is not None:
        remedy = advice
    yield violation("chain-incomplete", top, found, "a chain up to a self-signed root", remedy)


def root_is_known(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R24: the root has the subject and the key of the current certificate's root, which devices already trust."""
    if context.root is None and not context.current:
        yield Remark(
            message="neither a current certificate nor its root is known, so the root is not compared",
            is_applicable=False,
            is_notice=context.slot is Slot.RESERVE,
        )
    elif candidate.root is None:
        yield Remark(message="the chain has no root to compare", is_applicable=False, is_notice=False)
    elif context.root is None and context.issued:
        yield Remark(
            message="the main certificate is issued by this provider, so its root may be replaced: "
            f"{display_name(candidate.root)} is distributed to the devices first",
            is_applicable=False,
        )
    elif (wanted := context.wanted_root) is not None:
        yield from _root_mismatch(candidate.root, wanted)
    else:
        yield from _root_by_signatures(candidate, candidate.root, context)


def _is_distinguished(
    certificate: x509.Certificate, issuer: x509.Certificate, chain: tuple[x509.Certificate, ...]
) -> bool:
    """Return whether key identifiers distinguish an issuer from other certificates of its name in the chain."""
    rivals = (one for one in chain if one.subject == certificate.issuer and one.public_key() != issuer.public_key())
    return all(contradiction(certificate, rival) is not None for rival in rivals)


def _difference_note(issuer: x509.Name, subject: x509.Name) -> str:
    """Return a note about the difference of two names if a person can hardly see it; empty otherwise."""
    difference = name_difference(issuer, subject)
    return "" if difference is None else f" (the names differ only in {difference})"


def _root_mismatch(root: x509.Certificate, wanted: x509.Certificate) -> Iterator[Finding]:
    if root_digest(root) != root_digest(wanted):
        other_key = " (a root of the same name with another key)" if root.subject == wanted.subject else ""
        yield violation(
            "root-mismatch",
            root,
            f"the SHA-256 fingerprint {fingerprint(root)}{other_key}",
            f"the root that devices trust, {display_name(wanted)}, SHA-256 fingerprint {fingerprint(wanted)}",
            f"Have the certificate issued under {display_name(wanted)}",
        )
    elif root != wanted:
        yield Remark(message=f"{display_name(root)} is a renewed root with the subject and the key that devices trust")


def _root_by_signatures(candidate: Candidate, root: x509.Certificate, context: Context) -> Iterator[Finding]:
    """Find the root of the current certificate by its signatures if its given chain has no root."""
    pool = Pool(tuple(dict.fromkeys((*context.current, *candidate.chain, *candidate.set_aside, *context.trust))))
    # Start at the top: a CA that devices do not trust may have certified the key of a lower certificate.
    roots = pool.roots_above(context.current[-1])
    if root_digest(root) not in roots:
        relation = "which is not among the given certificates" if not roots else "which is a different root"
        yield violation(
            "root-mismatch",
            root,
            "no link to the chain of the current certificate",
            f"the root of the current certificate {display_name(context.current[0])}, {relation}",
            "Have the certificate issued under that root. If both roots are the same, provide the complete chain of "
            "the current certificate, or its root",
        )


def _issuer(certificate: x509.Certificate) -> str:
    return excerpt(certificate.issuer.rfc4514_string()) or "without a name"
