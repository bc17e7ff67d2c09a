"""The content of a server's profile, and the revision of the profile in the state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.profile import trust_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProfileContent", "next_revision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileContent:
    """The inputs that determine the bytes of a server's profile.

    Args:
        server: name of the server.
        host: connection address without its port.
        identifier: PayloadIdentifier of the profile.
        organization: PayloadOrganization of the profile; None for none.
        trusted: ordinals of the certificates that devices should trust, ascending; None if unknown, as in a preview
            that leaves the pair out.
        chains: PEM chain of each of these certificates, by ordinal; None if unknown, as in a preview of a pair that
            will change.
        sha256: digest of the profile if the chains are unknown; None if it is unknown, or if the chains are known.
    """

    server: str
    host: str
    identifier: str
    organization: str | None
    trusted: tuple[int, ...] | None
    chains: Mapping[int, str] | None
    sha256: str | None = None

    @property
    def digest(self) -> str | None:
        """SHA-256 of the profile, 64 hex digits; None if unknown. Raises the errors of :meth:`profile`."""
        return self.sha256 if self.chains is None else hashlib.sha256(self.profile()).hexdigest()

    def profile(self) -> bytes:
        """Return the .mobileconfig.

        Raises:
            CertificateError: A chain has other contents than certificates, or lacks its root.
            DefinitionError: There is no chain, or a text has characters that a profile cannot contain.
        """
        return trust_profile(
            list((self.chains or {}).values()),
            identifier=self.identifier,
            server=self.server,
            host=self.host,
            organization=self.organization,
        )

    def is_same(self, other: ProfileContent) -> bool:
        """Return whether both contents result in the same profile.

        If chains are unknown, other certificates count as another profile. This can be wrong: certificates under the
        same root need no new profile (R16).
        """
        known, others = self.digest, other.digest
        if known is not None and others is not None:
            return known == others
        is_known, is_other_known = ((one.host, one.identifier, one.organization, one.trusted) for one in (self, other))
        return is_known == is_other_known


def next_revision(before: ProfileContent | None, revision: int, after: ProfileContent) -> int:
    """Return the revision of a server's next profile in the state. It changes with the content.

    Args:
        before: content of the profile that was sent last; None if none was sent.
        revision: revision of that profile.
        after: content of the next profile.
    """
    if before is None:
        return 1
    return revision + (0 if before.is_same(after) else 1)
