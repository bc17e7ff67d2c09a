"""Certificate policies that an issuer requires (R28; RFC 5280, 6.1).

Clients name no policies that they want. Then a chain fails in one case only: a CA requires an explicit policy, and no
policy leads from its certificates to the leaf. Go and iOS evaluate this, OpenSSL does so on request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.asn1 import decode_der
from cryptography.x509.oid import ExtensionOID

from ios_mdm.core import der
from ios_mdm.core.rules.model import violation
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.names import display_name, is_self_issued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["required_policies_are_present"]

_ANY = "2.5.29.32.0"
_RELEVANT = {ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.POLICY_MAPPINGS}


def required_policies_are_present(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R28: if an issuer requires an explicit policy, its policies lead to the leaf (RFC 5280, 6.1).

    The root is not part of the path, as in RFC 5280.
    """
    path = candidate.chain[: None if candidate.root is None else -1]
    if not any(one.oid in _RELEVANT for certificate in path for one in certificate.extensions):
        return
    state = _State(levels=len(path))
    for certificate in reversed(path):
        is_leaf = certificate == candidate.leaf
        mappings = _mappings(certificate)
        if mappings is None:
            yield violation(
                "critical-extension",
                certificate,
                "policy mappings that cannot be read, or that map anyPolicy",
                "valid policy mappings (RFC 5280, 4.2.1.5)",
                "Have the certificate issued by another CA",
            )
            return
        state.enter(certificate, is_leaf=is_leaf)
        if not is_leaf:
            state.leave(certificate, mappings)
        elif _requires_policy(certificate) == 0:
            state.explicit, state.origin = 0, state.origin or certificate
        if state.is_violated(is_leaf=is_leaf):
            origin = state.origin or certificate
            missing = "no policy" if origin == certificate else f"{display_name(certificate)} has no policy"
            yield violation(
                "critical-extension",
                origin,
                f"policy constraints that require a certificate policy, and {missing} that its issuers allow",
                "a certificate policy that leads from each such CA to the server's certificate",
                "Have the certificate issued with a policy of its CA",
            )
            return


@dataclass(slots=True, kw_only=True)
class _State:
    """State of the validation of policies, from the first CA below the root downwards.

    The tree of policies of RFC 5280 is reduced to the policies that its lowest level expects. That is enough if clients
    accept any policy, and cannot grow beyond the number of policies in the certificates.

    Args:
        levels: number of certificates of the path.
        explicit: number of certificates after which a policy is required.
        mapping: number of certificates after which policies must not be mapped.
        any_policy: number of certificates after which anyPolicy is ignored.
        expected: policies that the next certificate can have.
        expects_any: whether the next certificate can have any policy.
        origin: certificate that requires a policy first; None if there is none.
    """

    levels: int
    explicit: int = field(init=False)
    mapping: int = field(init=False)
    any_policy: int = field(init=False)
    expected: set[str] = field(default_factory=set)
    expects_any: bool = True
    origin: x509.Certificate | None = None

    def __post_init__(self) -> None:
        """Start with no restriction."""
        self.explicit = self.mapping = self.any_policy = self.levels + 1

    def enter(self, certificate: x509.Certificate, *, is_leaf: bool) -> None:
        """Keep the policies that the certificate has (RFC 5280, 6.1.3, d and e)."""
        policies = extension(certificate, x509.CertificatePolicies)
        own = {one.policy_identifier.dotted_string for one in policies or ()}
        has_any = _ANY in own and (self.any_policy > 0 or (not is_leaf and is_self_issued(certificate)))
        own.discard(_ANY)
        kept = own if self.expects_any else own & self.expected
        self.expected = kept | self.expected if has_any else kept
        self.expects_any &= has_any

    def leave(self, certificate: x509.Certificate, mappings: dict[str, set[str]]) -> None:
        """Apply mappings and constraints of a CA to the certificates below it (RFC 5280, 6.1.4)."""
        mapped = {policy for policy in mappings if policy in self.expected or self.expects_any}
        self.expected = self.expected - mapped
        if self.mapping > 0:
            self.expected = self.expected.union(*(mappings[policy] for policy in mapped))
        step = not is_self_issued(certificate)
        self.explicit = max(self.explicit - step, 0)
        self.mapping = max(self.mapping - step, 0)
        self.any_policy = max(self.any_policy - step, 0)
        required = _requires_policy(certificate)
        if required is not None and required < self.explicit:
            self.explicit, self.origin = required, certificate
        constraints = extension(certificate, x509.PolicyConstraints)
        if constraints is not None and constraints.inhibit_policy_mapping is not None:
            self.mapping = min(self.mapping, constraints.inhibit_policy_mapping)
        inhibited = extension(certificate, x509.InhibitAnyPolicy)
        if inhibited is not None:
            self.any_policy = min(self.any_policy, inhibited.skip_certs)

    def is_violated(self, *, is_leaf: bool) -> bool:
        """Return whether a policy is required now, and none is left."""
        return max(self.explicit - is_leaf, 0) == 0 and not self.expected and not self.expects_any


def _requires_policy(certificate: x509.Certificate) -> int | None:
    constraints = extension(certificate, x509.PolicyConstraints)
    return None if constraints is None else constraints.require_explicit_policy


def _mappings(certificate: x509.Certificate) -> dict[str, set[str]] | None:
    """Return the policies that a CA maps, each with its equivalents below; None if they cannot be read."""
    found: dict[str, set[str]] = {}
    for one in certificate.extensions:
        if one.oid == ExtensionOID.POLICY_MAPPINGS and isinstance(one.value, x509.UnrecognizedExtension):
            try:
                for pair in der.parse(one.value.value).children():
                    issuer, subject = (
                        decode_der(x509.ObjectIdentifier, part.encoding).dotted_string for part in pair.children()
                    )
                    found.setdefault(issuer, set()).add(subject)
            except (der.DerError, ValueError):
                return None
    return None if _ANY in found or any(_ANY in mapped for mapped in found.values()) else found
