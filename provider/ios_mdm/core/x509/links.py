"""Finds the possible issuers of certificates, and the paths from a leaf to a root (R20).

A link with a wrong signature or name is used only if there is no valid link, so that the rules can check the
certificates above it, too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush
from itertools import count, islice
from typing import TYPE_CHECKING

from ios_mdm.core.x509.digests import root_digest
from ios_mdm.core.x509.issuer_identifiers import contradiction
from ios_mdm.core.x509.signatures import has_name_of, is_self_signed, is_signed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from cryptography import x509

__all__ = ["MAX_CHAINS", "Link", "Pool", "is_unbroken"]

MAX_CHAINS = 32
"""Limit for the number of paths from one leaf."""

_MAX_CHAIN_LENGTH = 32
_MAX_STEPS = 2_000  # of a search; the first path needs as many steps as it has certificates
_MAX_SIGNATURES = 1_000  # verified for one file; a chain needs one for each certificate


class Link(Enum):
    """Link between a certificate and the next one of its chain (R20). Subject and key are those of the next one."""

    VERIFIED = "the subject equals the issuer name, and the key verifies the signature"
    NAME_ONLY = "the subject equals the issuer name, but the key does not verify the signature"
    KEY_ONLY = "the key verifies the signature, but the subject differs from the issuer name"


_Chain = tuple["x509.Certificate", ...]
_Path = tuple[_Chain, tuple[Link, ...]]


@dataclass(frozen=True, slots=True, order=True)
class _Cost:
    """Cost of a path or of a part of it. The first difference decides.

    Args:
        rootless: 1 if the path does not end in a self-signed certificate.
        broken: number of links that are not verified.
        unwanted: 1 if the path does not end in a wanted root.
        faults: number of faults of its certificates and links.
        length: number of certificates.
    """

    rootless: int = 0
    broken: int = 0
    unwanted: int = 0
    faults: int = 0
    length: int = 0

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(
            self.rootless + other.rootless,
            self.broken + other.broken,
            self.unwanted + other.unwanted,
            self.faults + other.faults,
            self.length + other.length,
        )


@dataclass(slots=True)
class Pool:
    """Certificates that may be issuers, in order of preference."""

    certificates: tuple[x509.Certificate, ...]
    _issuers: dict[x509.Certificate, tuple[tuple[x509.Certificate, Link], ...]] = field(default_factory=dict)
    _by_subject: dict[x509.Name, list[x509.Certificate]] = field(default_factory=dict)
    _signatures_left: int = _MAX_SIGNATURES

    def issuers(self, certificate: x509.Certificate) -> tuple[tuple[x509.Certificate, Link], ...]:
        """Return the possible issuers of *certificate* with their links: the verified ones, or else the others."""
        if certificate not in self._issuers:
            found = self._by_name(certificate) or self._by_key(certificate)
            verified = [(issuer, link) for issuer, link in found if link is Link.VERIFIED]
            self._issuers[certificate] = tuple(verified or found)
        return self._issuers[certificate]

    def chains_from(
        self,
        leaf: x509.Certificate,
        *,
        wanted: Collection[str] = (),
        faults: Callable[[x509.Certificate], int] | None = None,
        limit: int = MAX_CHAINS,
    ) -> Iterator[_Path]:
        """Yield the chains that lead up from *leaf*, with their links, at least one, the best first.

        A chain is better if it ends in a root, has verified links, ends in a wanted root, has fewer faults, is shorter.

        Args:
            leaf: first certificate of each chain.
            wanted: digests (:func:`root_digest`) of preferred roots; empty if every root is as good.
            faults: number of the faults that a certificate has on any path; None if unknown.
            limit: number of chains.
        """
        above = self._issuers_above(leaf)
        if all(len(issuers) <= 1 for issuers in above.values()):
            yield _only_path(leaf, above)
            return
        found = 0
        for path in islice(_best_paths(leaf, above, _step_costs(above, faults), _top_costs(above, wanted)), limit):
            found += 1
            yield path
        if not found:  # no certificate is the end of a path: CAs certified each other, and no root is known
            yield from islice(_dead_ends(((leaf,), ()), above), limit)

    def roots_above(self, certificate: x509.Certificate) -> frozenset[str]:
        """Return the digests (:func:`root_digest`) of all roots to which a verified path from *certificate* leads."""
        above = self._issuers_above(certificate, verified_only=True)
        return frozenset(root_digest(one) for one in above if is_self_signed(one))

    def _issuers_above(
        self, certificate: x509.Certificate, *, verified_only: bool = False
    ) -> dict[x509.Certificate, tuple[tuple[x509.Certificate, Link], ...]]:
        """Return *certificate* and all certificates above it, each with its issuers; a root has none."""
        found: dict[x509.Certificate, tuple[tuple[x509.Certificate, Link], ...]] = {}
        waiting = [certificate]
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            issuers = () if is_self_signed(one) else self.issuers(one)
            found[one] = tuple(pair for pair in issuers if pair[1] is Link.VERIFIED or not verified_only)
            waiting += [issuer for issuer, _ in found[one]]
        return found

    def _by_name(self, certificate: x509.Certificate) -> list[tuple[x509.Certificate, Link]]:
        # The library's comparison of names ignores the encoding of their text; _link compares it.
        if not self._by_subject:
            for one in self.certificates:
                self._by_subject.setdefault(one.subject, []).append(one)
        alike = [one for one in self._by_subject.get(certificate.issuer, ()) if one != certificate]
        alike.sort(key=lambda one: contradiction(certificate, one) is not None)
        return [(one, self._link(certificate, one) or Link.NAME_ONLY) for one in alike]

    def _by_key(self, certificate: x509.Certificate) -> list[tuple[x509.Certificate, Link]]:
        others = (one for one in self.certificates if one != certificate)
        return [(one, link) for one in others if (link := self._link(certificate, one)) is not None]

    def _link(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Link | None:
        """Return the link between two certificates, or None if there is no link."""
        has_name = has_name_of(certificate, issuer)
        self._signatures_left -= 1
        if self._signatures_left >= 0 and is_signed_by(certificate, issuer):
            return Link.VERIFIED if has_name else Link.KEY_ONLY
        return Link.NAME_ONLY if has_name else None


def is_unbroken(links: Iterable[Link]) -> bool:
    """Return whether every link of a chain is verified."""
    return all(link is Link.VERIFIED for link in links)


_Graph = dict["x509.Certificate", tuple[tuple["x509.Certificate", Link], ...]]


def _only_path(leaf: x509.Certificate, above: _Graph) -> _Path:
    """Return the path from *leaf* if no certificate has two issuers. A circle ends before its first repetition."""
    chain, links = [leaf], []
    while above[chain[-1]] and len(chain) < _MAX_CHAIN_LENGTH:
        ((issuer, link),) = above[chain[-1]]
        if issuer in chain:
            break
        chain.append(issuer)
        links.append(link)
    return tuple(chain), tuple(links)


def _step_costs(
    above: _Graph, faults: Callable[[x509.Certificate], int] | None
) -> dict[tuple[x509.Certificate, x509.Certificate], _Cost]:
    """Return the cost of each step from a certificate to one of its issuers, with the faults of the issuer."""
    own = {one: 0 if faults is None else faults(one) for one in above}
    return {
        (one, issuer): _Cost(
            broken=int(link is not Link.VERIFIED),
            faults=own[issuer] + (contradiction(one, issuer) is not None),
            length=1,
        )
        for one, issuers in above.items()
        for issuer, link in issuers
    }


def _top_costs(above: _Graph, wanted: Collection[str]) -> dict[x509.Certificate, _Cost]:
    """Return the certificates in which a path ends, each with the cost of that end."""
    tops = {}
    for one, issuers in above.items():
        if not issuers:
            is_root = is_self_signed(one)
            is_wanted = not wanted or (is_root and root_digest(one) in wanted)
            tops[one] = _Cost(rootless=int(not is_root), unwanted=int(not is_wanted))
    return tops


def _rest_costs(
    above: _Graph,
    steps: dict[tuple[x509.Certificate, x509.Certificate], _Cost],
    tops: dict[x509.Certificate, _Cost],
) -> dict[x509.Certificate, _Cost]:
    """Return the cost of the best way up from each certificate that has one, found from the tops downwards."""
    below: defaultdict[x509.Certificate, list[x509.Certificate]] = defaultdict(list)
    for one, issuers in above.items():
        for issuer, _ in issuers:
            below[issuer].append(one)
    rest: dict[x509.Certificate, _Cost] = {}
    order = count()
    heap = [(cost, next(order), top) for top, cost in tops.items()]
    heap.sort()
    while heap:
        cost, _, one = heappop(heap)
        if one in rest:
            continue
        rest[one] = cost
        for lower in below[one]:
            if lower not in rest:
                heappush(heap, (cost + steps[lower, one], next(order), lower))
    return rest


def _best_paths(
    leaf: x509.Certificate,
    above: _Graph,
    steps: dict[tuple[x509.Certificate, x509.Certificate], _Cost],
    tops: dict[x509.Certificate, _Cost],
) -> Iterator[_Path]:
    """Yield the paths from *leaf* to a top, the best first.

    The cost of the best way up from each certificate is known. Therefore no step leads to a certificate without a way
    up, and the first path is found without a detour.
    """
    rest = _rest_costs(above, steps, tops)
    if leaf not in rest:
        return
    identities = {one: root_digest(one) for one in rest}
    order = count()
    heap: list[tuple[_Cost, int, _Cost, _Path]] = [(rest[leaf], next(order), _Cost(), ((leaf,), ()))]
    for _ in range(_MAX_STEPS):
        if not heap:
            return
        _, _, spent, (chain, links) = heappop(heap)
        if chain[-1] in tops:
            yield chain, links
        elif len(chain) < _MAX_CHAIN_LENGTH:
            # A path has each name with each key only once.
            visited = {identities[one] for one in chain}
            for issuer, link in above[chain[-1]]:
                if issuer in rest and identities[issuer] not in visited:
                    cost = spent + steps[chain[-1], issuer]
                    heappush(heap, (cost + rest[issuer], next(order), cost, ((*chain, issuer), (*links, link))))


def _dead_ends(path: _Path, above: _Graph) -> Iterator[_Path]:
    """Yield the longest paths, each of which ends where only known names and keys follow."""
    chain, links = path
    visited = {root_digest(one) for one in chain}
    onward = [(one, link) for one, link in above[chain[-1]] if root_digest(one) not in visited]
    if not onward or len(chain) >= _MAX_CHAIN_LENGTH:
        yield path
        return
    for one, link in onward:
        yield from _dead_ends(((*chain, one), (*links, link)), above)
