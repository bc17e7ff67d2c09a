"""Finds the server certificate of a bundle, its key, and its ordered chain up to the root (R18, R20, R22).

Cross-signed or renewed certificates give a file several paths to a root. All paths are returned, the likeliest first,
and the rules choose one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.links import Pool, is_unbroken
from ios_mdm.core.x509.names import display_name, distinct_name, has_name_of, is_self_issued
from ios_mdm.core.x509.needed import check_server_certificate
from ios_mdm.core.x509.paths import MAX_CHAINS, chains_from
from ios_mdm.core.x509.several_keys import ambiguity_error, check_hidden_keys
from ios_mdm.core.x509.signatures import is_self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ios_mdm.core.bundle import Bundle
    from ios_mdm.core.x509.links import Link

__all__ = ["Candidate", "candidates", "ordered_chain"]

_MAX_LEAVES = 8
_MAX_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Candidate:
    """A certificate that a server could present, with its key and its chain.

    Args:
        leaf: server certificate.
        key: private key of the leaf; a rule checks that they match.
        chain: known certificates from the leaf upwards; a root is the last one.
        links: link of each certificate to the next one; one fewer than certificates.
        root: self-signed certificate at the end of the chain, or None if the chain is incomplete.
        set_aside: certificates of the file that are not in the chain.
        notices: notices about the choice, one line each.
    """

    leaf: x509.Certificate
    key: PrivateKeyTypes
    chain: tuple[x509.Certificate, ...]
    links: tuple[Link, ...]
    root: x509.Certificate | None
    set_aside: tuple[x509.Certificate, ...] = ()
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the SHA-256 fingerprints of the chain, and nothing of the key."""
        return f"Candidate(chain=({', '.join(fingerprint(one) for one in self.chain)}))"

    @property
    def is_own_root(self) -> bool:
        """Whether the leaf is self-signed and therefore its own root."""
        return self.root == self.leaf

    @property
    def issuers(self) -> tuple[x509.Certificate, ...]:
        """The certificates above the leaf, including the root."""
        return self.chain[1:]

    @property
    def pem(self) -> str:
        """The known certificates of the chain, leaf first, PEM."""
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in self.chain)


def candidates(
    bundle: Bundle,
    *,
    host: str,
    trust: Sequence[x509.Certificate] = (),
    roots: Sequence[x509.Certificate] = (),
    faults: Callable[[x509.Certificate, x509.Certificate], int] | None = None,
) -> tuple[Candidate, ...]:
    """Return the candidates of a bundle for a connection address, at least one, the likeliest first.

    There are several candidates if there are several paths to a root, or several certificates for one key.

    Args:
        bundle: contents of the file.
        host: connection address without its port, in A-labels.
        trust: additional certificates that may complete the chain.
        roots: preferred self-signed roots, which may complete the chain, too.
        faults: number of the faults that an issuer (second argument) has on any path from a leaf (first argument), to
            prefer paths with few of them; None if unknown.

    Raises:
        BundleError: The file has several private keys, and not exactly one is for the connection address (R18), or a
            private key of a PFX that is not read can be for it.
    """
    check_server_certificate(bundle, host)
    key, leaves = _key_and_leaves(bundle, host)
    pool = Pool(tuple(dict.fromkeys((*bundle.certificates, *trust, *roots))))
    wanted = {root_digest(root) for root in roots}
    limit = MAX_CHAINS // len(leaves)
    found = []
    for leaf in leaves:
        known = None if faults is None else partial(faults, leaf)
        paths = chains_from(pool, leaf, wanted=wanted, faults=known, limit=limit)
        found += [_candidate(key, chain, links, bundle) for chain, links in paths]
    return tuple(sorted(found, key=lambda one: _sort_key(one, wanted)))


def ordered_chain(certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a chain from the leaf upwards, without certificates that do not belong to it."""
    (leaf,) = _lowest_certificates(certificates)
    chain, _ = min(
        chains_from(Pool(tuple(certificates)), leaf), key=lambda way: (not is_unbroken(way[1]), -len(way[0]))
    )
    return chain


def _key_and_leaves(bundle: Bundle, host: str) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    """Return the private key for *host*, and its possible certificates, the likeliest first."""
    owned = [(key, _certificates_of_key(key, bundle.certificates)) for key in bundle.keys]
    fitting = [
        (key, fit) for key, certificates in owned if (fit := [one for one in certificates if has_name_of(one, host)])
    ]
    if len(owned) > 1 and len(fitting) != 1:
        shown = [one for _, found in fitting or owned for one in found]
        raise ambiguity_error(shown, bundle, host, fitting=len(fitting))
    check_hidden_keys(bundle, (one for _, found in owned for one in found), host)
    if fitting:
        key, leaves = fitting[0]
    else:
        key, leaves = owned[0]
        # The key belongs to a CA or to a certificate that is missing; a rule reports this.
        leaves = (
            [one for one in bundle.certificates if has_name_of(one, host)]
            or leaves
            or _lowest_certificates(bundle.certificates)
        )
    # One key may have a self-signed certificate, created for the request, and one of a CA, or an old and a new one.
    leaves = [one for one in leaves if not is_self_issued(one)] or leaves
    return key, sorted(leaves, key=lambda one: one.not_valid_after_utc, reverse=True)[:_MAX_LEAVES]


def _certificates_of_key(key: PrivateKeyTypes, certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    public = key.public_key()
    return [one for one in certificates if one.public_key() == public]


def _lowest_certificates(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return, as a list, the first certificate that issued none of the others."""
    issuers = {one.issuer for one in certificates if not is_self_issued(one)}
    return [next((one for one in certificates if one.subject not in issuers), certificates[0])]


def _candidate(
    key: PrivateKeyTypes,
    chain: tuple[x509.Certificate, ...],
    links: tuple[Link, ...],
    bundle: Bundle,
) -> Candidate:
    aside = tuple(one for one in bundle.certificates if one not in chain)
    notices = [f"not part of the chain, ignored: {_names(aside, chain)}"] if aside else []
    notices += [
        f"not in the file, taken from elsewhere: {display_name(one)}" for one in chain if one not in bundle.certificates
    ]
    return Candidate(
        leaf=chain[0],
        key=key,
        chain=chain,
        links=links,
        root=chain[-1] if is_self_signed(chain[-1]) else None,
        set_aside=aside,
        notices=tuple(notices),
    )


def _names(certificates: Sequence[x509.Certificate], chain: Sequence[x509.Certificate]) -> str:
    """Return certificates for a message. Names that are also in the chain get the serial number and the expiry."""
    more = f", and {len(certificates) - _MAX_NAMES} more" if len(certificates) > _MAX_NAMES else ""
    return ", ".join(distinct_name(one, *chain) for one in certificates[:_MAX_NAMES]) + more


def _sort_key(candidate: Candidate, wanted: set[str]) -> tuple[bool, bool, bool]:
    """Return the sort key: complete chains first, then verified ones, then those that end in a wanted root."""
    return (
        candidate.root is None,
        not is_unbroken(candidate.links),
        bool(wanted) and (candidate.root is None or root_digest(candidate.root) not in wanted),
    )
