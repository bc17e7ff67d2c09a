"""Finds the devices of a server for ``ios-mdm devices``: in the ledger, with one call to AWS. Writes nothing."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.app.device_ids import enrollment_id_notices
from ios_mdm.app.devices import devices_file
from ios_mdm.app.status.coverage import other_profile_notice
from ios_mdm.app.status.fleet import fleet, fleet_ids
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.guard import untrusted_versions
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.profile import trust_anchors
from ios_mdm.errors import DeliveryError, IosMdmError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.status.fleet import Fleet
    from ios_mdm.core.ledger.values import Publication
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.ports import Ledger
    from ios_mdm.settings import DistributionSettings

__all__ = ["DeviceList", "device_list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceList:
    """The devices of a server.

    Args:
        fleet: the devices.
        publication: the profile that was published last; None if none was.
        notices: notices about the ids and the profile.
    """

    fleet: Fleet
    publication: Publication | None
    notices: tuple[Notice, ...]

    @property
    def is_covered(self) -> bool:
        """Whether each device has the profile, and no notice is a warning."""
        is_warned = any(one.severity is not Severity.NOTICE for one in self.notices)
        return not is_warned and self.fleet.size > 0 and not self.fleet.count(*self.fleet.lacking_states)


def device_list(
    server: str,
    settings: DistributionSettings,
    ledger: Ledger,
    observe: Callable[[], ObservedPair | None],
    *,
    base: Path,
    now: datetime,
) -> DeviceList:
    """Return the devices of a server.

    If the published profile is not the one that the pair needs, devices count as not sent, as in ``status``. Unlike
    there, the profiles are compared by identifier and roots, because only the tags of the pair are read. If the pair
    cannot be read, the states are those of the published profile.

    Args:
        server: name of the server.
        settings: settings of the distribution, with a ledger.
        ledger: the ledger.
        observe: returns the pair; None if its secret does not exist.
        base: folder of the project.
        now: current time, aware UTC.

    Raises:
        DeliveryError: The ledger cannot be read, or has no record.
        DefinitionError: The list of devices cannot be read.
    """
    publication, notices = ledger.publication(server), list[Notice]()
    if publication is None:
        _check_ledger(server, settings, ledger)
    current = publication
    try:
        observed = observe()
        if observed is None:
            raise StoreError("its secret does not exist")
        if publication is None or not _is_current(settings, publication, observed, now):
            current = None
            notices.append(other_profile_notice(publication))
    except IosMdmError as error:
        message = (
            "the pair cannot be read, so the states are those of the profile that was published last. The pair might "
            f"need another profile now: {error}"
        )
        notices.append(Notice(reason="pair-unread", severity=Severity.WARNING, message=message))
    ids = fleet_ids(settings, ledger, base=base)
    if ids is not None:
        notices += enrollment_id_notices(server, ids, ledger, listed=devices_file(settings))
    found = fleet(server, ledger, settings.ledger_rules.policy(current, now), enrollment_ids=ids)
    return DeviceList(fleet=found, publication=publication, notices=tuple(notices))


def _check_ledger(server: str, settings: DistributionSettings, ledger: Ledger) -> None:
    """Refuse a ledger without any record: its file is probably missing, or another one is meant."""
    if not ledger.publications() and next(iter(ledger.devices(server)), None) is None:
        raise DeliveryError(
            f"server {server}: the ledger {settings.ledger} does not exist or has no record: run `pulumi up`, start "
            "`ios-mdm receive` with this ledger, or correct distribution.ledger. A relative path starts from the "
            "folder of the project"
        )


def _is_current(
    settings: DistributionSettings, publication: Publication, observed: ObservedPair, now: datetime
) -> bool:
    """Return whether a published profile has the identifier of the pair, and each root that devices must trust."""
    pair_id = None if observed.identity is None else observed.identity.pair_id
    try:
        identifier = plistlib.loads(publication.profile).get("PayloadIdentifier")
        anchors = trust_anchors(publication.profile)
    except (ValueError, KeyError, AttributeError, plistlib.InvalidFileException):
        return False  # another program wrote it
    if pair_id is None or identifier != profile_identifier(settings.profile.identifier, pair_id):
        return False
    return not untrusted_versions(observed, anchors, now)
