"""Finds the possible issuers of certificates, and the paths from a leaf to a root (R20).

A link with a wrong signature or name is used only if there is no valid link, so that the rules can check the
certificates above it, too.
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

__all__ = ["Link", "Pool", "is_unbroken"]

_MAX_CHAIN_LENGTH = 12
_MAX_CHAINS = 32
_MAX_ISSUERS = 8  # of one certificate; no tool writes a file with more


class Link(Enum):
    """Link between a certificate and the next one of its chain (R20). Subject and key are those of the next one."""

    VERIFIED = "the subject equals the issuer name, and the key verifies the signature"
    NAME_ONLY = "the subject equals the issuer name, but the key does not verify the signature"
    KEY_ONLY = "the key verifies the signature, but the subject differs from the issuer name"


@dataclass(slots=True)
class Pool:
    """Certificates that may be issuers, in order of preference."""

    certificates: tuple[x509.Certificate, ...]
    _issuers: dict[x509.Certificate, tuple[tuple[x509.Certificate, Link], ...]] = field(default_factory=dict)

    def issuers(self, certificate: x509.Certificate) -> tuple[tuple[x509.Certificate, Link], ...]:
        """Return the possible issuers of *certificate* with their links: the verified ones, or else the others."""
        if certificate not in self._issuers:
            found = self._by_name(certificate) or self._by_key(certificate)
            verified = [(issuer, link) for issuer, link in found if link is Link.VERIFIED]
            self._issuers[certificate] = tuple((verified or found)[:_MAX_ISSUERS])
        return self._issuers[certificate]

    def chains_from(self, leaf: x509.Certificate) -> Iterator[tuple[tuple[x509.Certificate, ...], tuple[Link, ...]]]:
        """Yield the chains that lead up from *leaf*, with their links."""
        yield from islice(self._longer_chains((leaf,), ()), _MAX_CHAINS)

    def roots_above(self, certificate: x509.Certificate) -> frozenset[str]:
        """Return the digests (:func:`root_digest`) of all roots to which a verified path from *certificate* leads."""
        return frozenset(
            root_digest(chain[-1])
            for chain, links in self.chains_from(certificate)
            if is_self_signed(chain[-1]) and is_unbroken(links)
        )

    def _by_name(self, certificate: x509.Certificate) -> list[tuple[x509.Certificate, Link]]:
        # The library's comparison of names ignores the encoding of their text; _link compares it.
        alike = (one for one in self.certificates if one.subject == certificate.issuer and one != certificate)
        return [(one, _link(certificate, one) or Link.NAME_ONLY) for one in alike]

    def _by_key(self, certificate: x509.Certificate) -> list[tuple[x509.Certificate, Link]]:
        others = (one for one in self.certificates if one != certificate)
        return [(one, link) for one in others if (link := _link(certificate, one)) is not None]

    def _longer_chains(
        self, chain: tuple[x509.Certificate, ...], links: tuple[Link, ...]
    ) -> Iterator[tuple[tuple[x509.Certificate, ...], tuple[Link, ...]]]:
        top = chain[-1]
        onward: list[tuple[x509.Certificate, Link]] = []
        if not is_self_signed(top) and len(chain) < _MAX_CHAIN_LENGTH:
            onward = [(one, link) for one, link in self.issuers(top) if not _has_certificate(one, chain)]
        if not onward:
            yield chain, links
        for one, link in onward:
            yield from self._longer_chains((*chain, one), (*links, link))


def is_unbroken(links: Iterable[Link]) -> bool:
    """Return whether every link of a chain is verified."""
    return all(link is Link.VERIFIED for link in links)


def _has_certificate(certificate: x509.Certificate, chain: Iterable[x509.Certificate]) -> bool:
    """Return whether a chain already contains this name with this key; cross-signed roots can form circles."""
    return any(one.subject == certificate.subject and one.public_key() == certificate.public_key() for one in chain)


def _link(certificate: x509.Certificate, issuer: x509.Certificate) -> Link | None:
    """Return the link between two certificates, or None if there is no link."""
    if is_signed_by(certificate, issuer):
        return Link.VERIFIED if has_name_of(certificate, issuer) else Link.KEY_ONLY
    return Link.NAME_ONLY if has_name_of(certificate, issuer) else None
