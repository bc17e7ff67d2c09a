"""The devices that a run sends something to."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ios_mdm.app.delivery.sender import Target
from ios_mdm.core.ledger.overdue import CommandKind, has_overdue_state, overdue_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ios_mdm.core.ledger.overdue import LedgerRules
    from ios_mdm.core.ledger.values import Publication
    from ios_mdm.ports import Ledger

__all__ = ["DueCounts", "due_counts", "overdue_targets", "parts", "waiting_targets"]

PART: Final = 10_000
"""Number of devices that are read from the ledger at once, so that memory stays the same for any number of devices."""


class DueCounts(NamedTuple):
    """Numbers of devices that ``up`` sends something to, although the profile has not changed.

    Args:
        unsent: devices that were not sent the profile in their current enrollment.
        resent: devices that are sent the profile again.
        asked: devices that are only asked for their certificates.
    """

    unsent: int = 0
    resent: int = 0
    asked: int = 0


def due_counts(
    ledger: Ledger,
    server: str,
    digest: str | None,
    enrollment_ids: Sequence[str],
    *,
    rules: LedgerRules,
    now: datetime,
) -> DueCounts:
    """Return the numbers of devices that ``up`` sends something to.

    All are 0 if the ledger has no record of the profile, for example because the ledger was lost. Then the profile is
    sent again when another one is due.

    Args:
        ledger: the ledger.
        server: name of the server.
        digest: SHA-256 of the profile, 64 hex digits; None if it is unknown.
        enrollment_ids: enrollment ids of the devices.
        rules: settings of the distribution.
        now: current time, aware UTC.

    Raises:
        DeliveryError: The ledger cannot be used.
    """
    publication = ledger.publication(server)
    if publication is None or publication.digest != digest:
        return DueCounts()
    unsent = sum(len(waiting_targets(ledger, server, publication.revision, part)) for part in parts(enrollment_ids))
    again = dict.fromkeys(CommandKind, 0)
    for kind, targets in overdue_targets(ledger, publication, enrollment_ids, rules=rules, now=now):
        again[kind] += len(targets)
    return DueCounts(unsent=unsent, resent=again[CommandKind.PROFILE], asked=again[CommandKind.LIST])


def waiting_targets(
    ledger: Ledger | None, server: str, revision: int | None, enrollment_ids: Sequence[str]
) -> Mapping[str, Target]:
    """Return the devices that a revision was not sent to in their current enrollment. Without a ledger, these are all.

    Args:
        ledger: the ledger; None if none is kept.
        server: name of the server.
        revision: revision of the profile; None if it is not published.
        enrollment_ids: enrollment ids of devices.
    """
    if ledger is None:
        return dict.fromkeys(enrollment_ids, Target())
    found = ledger.waiting(server, revision, enrollment_ids=enrollment_ids)
    return {one: Target(epoch) for one, epoch in found.items()}


def overdue_targets(
    ledger: Ledger, publication: Publication, enrollment_ids: Sequence[str], *, rules: LedgerRules, now: datetime
) -> Iterator[tuple[CommandKind, Mapping[str, Target]]]:
    """Yield the devices that are sent a command again, in parts.

    No command was queued before the publication. So nothing is overdue in the first ``resend_days``, and the devices
    are not read.
    """
    if now - publication.at < timedelta(days=rules.resend_days):
        return
    policy = rules.policy(publication, now)
    counts = ledger.counts(publication.server, policy, enrollment_ids=enrollment_ids)
    if not any(count for state, count in counts.items() if has_overdue_state(state, rules)):
        return
    for part in parts(enrollment_ids):
        found: dict[CommandKind, dict[str, Target]] = {kind: {} for kind in CommandKind}
        for record in ledger.devices(publication.server, enrollment_ids=part):
            kind = overdue_command(record, publication, rules, now)
            if kind is not None:
                found[kind][record.enrollment_id] = Target.of(record)
        yield from ((kind, targets) for kind, targets in found.items() if targets)


def parts(enrollment_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the devices in parts of :data:`PART`."""
    remaining = iter(enrollment_ids)
    while part := tuple(islice(remaining, PART)):
        yield part
