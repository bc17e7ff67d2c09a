"""How certificates are tied together: who could have issued whom, and which ways lead up to a root (R20).

A step whose signature or name is wrong is taken only where no right one is there, so that the rules above it are judged
as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

from ios_mdm.core.x509.digests import root_digest
from ios_mdm.core.x509.signatures import has_name_of, is_self_signed, is_signed_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cryptography import x509

__all__ = ["Link", "Pool", "unbroken"]

_LONGEST_CHAIN = 12
_MOST_WAYS = 32
_MOST_ISSUERS = 8  # of one certificate: more is no chain that a tool would write


class Link(Enum):
    """How a certificate is tied to the next one of its chain (R20)."""

    VERIFIED = "its name is that of the issuer, and its key verifies the signature"
    NAME_ONLY = "its name is that of the issuer, but its key does not verify the signature"
    KEY_ONLY = "its key verifies the signature, but its name is not that of the issuer"


@dataclass(slots=True)
class Pool:
    """Certificates among which issuers are looked for, the first ones first."""

    certificates: tuple[x509.Certificate, ...]
    _issuers: dict[x509.Certificate, tuple[tuple[x509.Certificate, Link], ...]] = field(default_factory=dict)

    def issuers(self, certificate: x509.Certificate) -> tuple[tuple[x509.Certificate, Link], ...]:
        """Return what could have issued it: verified ones, else the nearest to one."""
        if certificate not in self._issuers:
            found = self._by_name(certificate) or self._by_key(certificate)
            verified = [(issuer, link) for issuer, link in found if link is Link.VERIFIED]
            self._issuers[certificate] = tuple((verified or found)[:_MOST_ISSUERS])
        return self._issuers[certificate]

    def ways(self, leaf: x509.Certificate) -> Iterator[tuple[tuple[x509.Certificate, ...], tuple[Link, ...]]]:
        """Yield the chains that lead up from *leaf*, with their links."""
        yield from islice(self._onward((leaf,), ()), _MOST_WAYS)

    def roots_above(self, certificate: x509.Certificate) -> frozenset[str]:
        """Return the digests of the roots that vouch for *certificate*, as :func:`root_digest` makes them."""
        return frozenset(
            root_digest(chain[-1])
            for chain, links in self.ways(certificate)
            if is_self_signed(chain[-1]) and unbroken(links)
        )

    def _by_name(self, certificate: x509.Certificate) -> list[tuple[x509.Certificate, Link]]:
        # Python's comparison of names ignores how their text is encoded; _link does not.
        alike = (one for one in self.certificates if one.subject == certificate.issuer and one != certificate)
        return [(one, _link(certificate, one) or Link.NAME_ONLY) for one in alike]

    def _by_key(self, certificate: x509.Certificate) -> list[tuple[x509.Certificate, Link]]:
        others = (one for one in self.certificates if one != certificate)
        return [(one, link) for one in others if (link := _link(certificate, one)) is not None]

    def _onward(
        self, chain: tuple[x509.Certificate, ...], links: tuple[Link, ...]
    ) -> Iterator[tuple[tuple[x509.Certificate, ...], tuple[Link, ...]]]:
        top = chain[-1]
        onward: list[tuple[x509.Certificate, Link]] = []
        if not is_self_signed(top) and len(chain) < _LONGEST_CHAIN:
            onward = [(one, link) for one, link in self.issuers(top) if not _repeats(one, chain)]
        if not onward:
            yield chain, links
        for one, link in onward:
            yield from self._onward((*chain, one), (*links, link))


def unbroken(links: Iterable[Link]) -> bool:
    """Tell whether every step of a chain is right."""
    return all(link is Link.VERIFIED for link in links)


def _repeats(certificate: x509.Certificate, chain: Iterable[x509.Certificate]) -> bool:
    """Tell whether a chain has this name with this key already: cross-signed roots can lead in circles."""
    return any(one.subject == certificate.subject and one.public_key() == certificate.public_key() for one in chain)


def _link(certificate: x509.Certificate, issuer: x509.Certificate) -> Link | None:
    """Return how two certificates are tied together, None where they are not."""
    if is_signed_by(certificate, issuer):
        return Link.VERIFIED if has_name_of(certificate, issuer) else Link.KEY_ONLY
    return Link.NAME_ONLY if has_name_of(certificate, issuer) else None
