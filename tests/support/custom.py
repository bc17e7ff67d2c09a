"""The port ``CustomCertificates`` for tests that hold the certificates in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ios_mdm.core.pair.definition import Slot
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.x509.values import Credential

__all__ = ["Given"]


@dataclass(frozen=True, slots=True)
class Given:
    """Certificates by slot, each created on request."""

    credentials: Mapping[Slot, Callable[[], Credential]]

    def credential(self, slot: Slot, *, current: CertificateFacts | None, main: CertificateFacts | None) -> Credential:
        """Return the certificate of a slot."""
        del current, main
        return self.credentials[slot]()
