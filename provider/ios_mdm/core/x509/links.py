"""Finds the possible issuers of certificates (R20).

A link with a wrong signature or name is used only if there is no valid link, so that the rules can check the
certificates above it, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ios_mdm.core.x509.digests import root_digest
from ios_mdm.core.x509.issuer_identifiers import contradiction
from ios_mdm.core.x509.signatures import has_name_of, is_self_signed, is_signed_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

__all__ = ["Graph", "Link", "Pool", "is_unbroken"]

_MAX_WRONG_ISSUERS = 4  # of one certificate; they only help to describe what is wrong
_MAX_SIGNATURES = 500  # that are verified for issuers of the right name, and as many for others


class Link(Enum):
    """Link between a certificate and the next one of its chain (R20). Subject and key are those of the next one."""

    VERIFIED = "the subject equals the issuer name, and the key verifies the signature"
    NAME_ONLY = "the subject equals the issuer name, but the key does not verify the signature"
    KEY_ONLY = "the key verifies the signature, but the subject differs from the issuer name"


_Issuer = tuple["x509.Certificate", Link]
Graph = dict["x509.Certificate", tuple[_Issuer, ...]]
"""Certificates, each with its issuers and their links."""


@dataclass(slots=True)
class Pool:
    """Certificates that may be issuers, in order of preference."""

    certificates: tuple[x509.Certificate, ...]
    _issuers: Graph = field(default_factory=dict)
    _by_subject: dict[x509.Name, list[x509.Certificate]] = field(default_factory=dict)
    _names_left: int = _MAX_SIGNATURES
    _keys_left: int = _MAX_SIGNATURES

    def issuers(self, certificate: x509.Certificate) -> tuple[_Issuer, ...]:
        """Return the possible issuers of *certificate* with their links: the verified ones, or else the others."""
        if certificate not in self._issuers:
            found = self._by_name(certificate) or self._by_key(certificate)
            verified = [(issuer, link) for issuer, link in found if link is Link.VERIFIED]
            self._issuers[certificate] = tuple(verified or found[:_MAX_WRONG_ISSUERS])
        return self._issuers[certificate]

    def roots_above(self, certificate: x509.Certificate) -> frozenset[str]:
        """Return the digests (:func:`root_digest`) of all roots to which a verified path from *certificate* leads."""
        above = self.issuers_above(certificate, verified_only=True)
        return frozenset(root_digest(one) for one in above if is_self_signed(one))

    def issuers_above(self, certificate: x509.Certificate, *, verified_only: bool = False) -> Graph:
        """Return *certificate* and all certificates above it, each with its issuers; a root has none."""
        found: Graph = {}
        waiting = [certificate]
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            issuers = () if is_self_signed(one) else self.issuers(one)
            found[one] = tuple(pair for pair in issuers if pair[1] is Link.VERIFIED or not verified_only)
            waiting += [issuer for issuer, _ in found[one]]
        return found

    def _by_name(self, certificate: x509.Certificate) -> list[_Issuer]:
        # The library's comparison of names ignores the encoding of their text; _link compares it.
        if not self._by_subject:
            for one in self.certificates:
                self._by_subject.setdefault(one.subject, []).append(one)
        alike = [one for one in self._by_subject.get(certificate.issuer, ()) if one != certificate]
        if len(alike) == 1:
            return self._links(certificate, alike)
        # A contradicted issuer breaks a rule, so it is of interest only if there is no other one.
        meant: list[x509.Certificate] = []
        contradicted: list[x509.Certificate] = []
        for one in alike:
            (meant if contradiction(certificate, one) is None else contradicted).append(one)
        found = self._links(certificate, meant)
        if all(link is not Link.VERIFIED for _, link in found):
            found += self._links(certificate, contradicted)
        return found

    def _links(self, certificate: x509.Certificate, issuers: list[x509.Certificate]) -> list[_Issuer]:
        """Return the links to issuers of the right name, as far as the limit allows to verify signatures."""
        tried = issuers[: self._names_left]
        self._names_left -= len(tried)
        found = [(one, _link(certificate, one) or Link.NAME_ONLY) for one in tried]
        return found + [(one, Link.NAME_ONLY) for one in issuers[len(tried) :]]

    def _by_key(self, certificate: x509.Certificate) -> list[_Issuer]:
        tried = [one for one in self.certificates if one != certificate][: self._keys_left]
        self._keys_left -= len(tried)
        return [(one, link) for one in tried if (link := _link(certificate, one)) is not None]


def _link(certificate: x509.Certificate, issuer: x509.Certificate) -> Link | None:
    """Return the link between two certificates, or None if there is no link."""
    if is_signed_by(certificate, issuer):
        return Link.VERIFIED if has_name_of(certificate, issuer) else Link.KEY_ONLY
    return Link.NAME_ONLY if has_name_of(certificate, issuer) else None


def is_unbroken(links: Iterable[Link]) -> bool:
    """Return whether every link of a chain is verified."""
    return all(link is Link.VERIFIED for link in links)
