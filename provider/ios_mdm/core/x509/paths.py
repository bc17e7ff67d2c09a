"""Finds the paths from a leaf to a root, the best first (R20, R22).

Cross-signed CAs can form a mesh with very many paths. The search first computes the cost of the best way up from each
certificate, from the roots downwards. It then never enters a part of the mesh without a way up.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, islice
from typing import TYPE_CHECKING

from ios_mdm.core.x509.digests import root_digest
from ios_mdm.core.x509.issuer_identifiers import contradiction
from ios_mdm.core.x509.links import Link
from ios_mdm.core.x509.signatures import is_self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cryptography import x509

    from ios_mdm.core.x509.links import Graph, Pool

__all__ = ["MAX_CHAINS", "chains_from"]

MAX_CHAINS = 32
"""Limit for the number of paths from one leaf."""

_MAX_CHAIN_LENGTH = 32
_MAX_STEPS = 2_000  # of a search; the first path needs as many steps as it has certificates

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


def chains_from(
    pool: Pool,
    leaf: x509.Certificate,
    *,
    wanted: Collection[str] = (),
    faults: Callable[[x509.Certificate], int] | None = None,
    limit: int = MAX_CHAINS,
) -> Iterator[_Path]:
    """Yield the chains that lead up from *leaf*, with their links, at least one, the best first.

    A chain is better if it ends in a root, has verified links, ends in a wanted root, has fewer faults, is shorter.

    Args:
        pool: possible issuers.
        leaf: first certificate of each chain.
        wanted: digests (:func:`root_digest`) of preferred roots; empty if every root is as good.
        faults: number of the faults that a certificate has on any path; None if unknown.
        limit: number of chains.
    """
    above = pool.issuers_above(leaf)
    if all(len(issuers) <= 1 for issuers in above.values()):
        yield _only_path(leaf, above)
        return
    found = 0
    for path in islice(_best_paths(leaf, above, _step_costs(above, faults), _top_costs(above, wanted)), limit):
        found += 1
        yield path
    if not found:  # no certificate is the end of a path: CAs certified each other, and no root is known
        yield from islice(_dead_ends(((leaf,), ()), above), limit)


def _only_path(leaf: x509.Certificate, above: Graph) -> _Path:
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
    above: Graph, faults: Callable[[x509.Certificate], int] | None
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


def _top_costs(above: Graph, wanted: Collection[str]) -> dict[x509.Certificate, _Cost]:
    """Return the certificates in which a path ends, each with the cost of that end."""
    tops = {}
    for one, issuers in above.items():
        if not issuers:
            is_root = is_self_signed(one)
            is_wanted = not wanted or (is_root and root_digest(one) in wanted)
            tops[one] = _Cost(rootless=int(not is_root), unwanted=int(not is_wanted))
    return tops


def _rest_costs(
    above: Graph,
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
    above: Graph,
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


def _dead_ends(path: _Path, above: Graph) -> Iterator[_Path]:
    """Yield the longest paths, each of which ends where only known names and keys follow."""
    chain, links = path
    visited = {root_digest(one) for one in chain}
    onward = [(one, link) for one, link in above[chain[-1]] if root_digest(one) not in visited]
    if not onward or len(chain) >= _MAX_CHAIN_LENGTH:
        yield path
        return
    for one, link in onward:
        yield from _dead_ends(((*chain, one), (*links, link)), above)
