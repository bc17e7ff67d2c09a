"""The devices that a run sends something to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.ports import Ledger

__all__ = ["unsent_count"]


def unsent_count(ledger: Ledger, server: str, digest: str | None, enrollment_ids: Sequence[str]) -> int:
    """Return the number of devices that were not sent a profile in their current enrollment.

    The result is 0 if the ledger has no record of the profile, for example because the ledger was lost. Then the
    profile is sent again when another one is due.

    Args:
        ledger: the ledger.
        server: name of the server.
        digest: SHA-256 of the profile, 64 hex digits; None if it is unknown.
        enrollment_ids: enrollment ids of the devices.

    Raises:
        DeliveryError: The ledger cannot be used.
    """
    publication = ledger.publication(server)
    if publication is None or publication.digest != digest:
        return 0
    return len(ledger.waiting(server, publication.revision, enrollment_ids=enrollment_ids))
