"""Sends commands that a user requests: the published profile again, and requests for lists of certificates."""

from __future__ import annotations

import contextlib
import plistlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ios_mdm.app.delivery.due import parts
from ios_mdm.app.delivery.progress import Progress
from ios_mdm.app.delivery.recorder import Recorder
from ios_mdm.app.delivery.sender import LedgerSender, Sender, Target
from ios_mdm.core.certificate_profile import refused_content
from ios_mdm.core.ledger.overdue import CommandKind
from ios_mdm.core.ledger.registers import microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.pair.guard import untrusted_versions
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG, observed_pair
from ios_mdm.core.profile import trust_anchors
from ios_mdm.errors import DeliveryError, IdentityError, StoreError, TakenOverError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ios_mdm.core.ledger.values import Publication
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.ports import Clock, Ledger, MdmChannel, SecretStore
    from ios_mdm.settings import DistributionSettings

__all__ = ["RequestedCommands", "RequestedServer", "Selection"]

_UNVERIFIABLE = frozenset({DeviceState.NOT_SENT, DeviceState.ERASED, DeviceState.GONE})
"""States of the devices that `verify` does not ask by default: they cannot have the profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedServer:
    """A server whose devices are sent commands.

    Args:
        name: name of the server.
        secret: name of the pair's secret.
        settings: settings of the distribution.
        enrollment_ids: enrollment ids of the devices, without duplicates.
        stack: ``project/stack`` of the definition; None if the definition is not a stack file.
    """

    name: str
    secret: str
    settings: DistributionSettings
    enrollment_ids: Sequence[str]
    stack: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The devices that are sent a command.

    Args:
        server: the server.
        publication: the published profile.
        kind: kind of the command.
        states: number of selected devices in each state.
        targets: the selected devices.
    """

    server: RequestedServer
    publication: Publication
    kind: CommandKind
    states: Mapping[DeviceState, int]
    targets: Mapping[str, Target] = field(repr=False)


class RequestedCommands:
    """Selects devices and sends commands to them.

    Args:
        store: stores the pairs.
        ledger: the ledger of the server.
        channel: returns the connection to the MDM server, with its API key.
        clock: returns the time of each command.
        report: receives each line of progress.
    """

    def __init__(
        self,
        store: SecretStore,
        ledger: Ledger,
        channel: Callable[[], MdmChannel],
        clock: Clock,
        *,
        report: Callable[[str], None],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._channel = channel
        self._clock = clock
        self._report = report

    def devices_to_verify(self, server: RequestedServer, *, is_for_all: bool) -> Selection:
        """Return the devices that are asked for their certificates.

        Args:
            server: the server.
            is_for_all: whether all devices are asked that did not leave. If not, those that were sent the profile and
                did not prove it are asked.

        Raises:
            IosMdmError: The published profile must not be used.
        """
        excluded = {DeviceState.GONE} if is_for_all else {*_UNVERIFIABLE, DeviceState.PROVED}
        return self._selection(server, CommandKind.LIST, set(DeviceState) - excluded, ids=None)

    def devices_to_resend(
        self, server: RequestedServer, states: Collection[DeviceState], *, ids: Collection[str] | None
    ) -> Selection:
        """Return the devices that are sent the published profile again.

        Args:
            server: the server.
            states: states of the devices.
            ids: enrollment ids of the devices; None for all devices of the server.

        Raises:
            IosMdmError: The published profile must not be used.
        """
        return self._selection(server, CommandKind.PROFILE, states, ids=ids)

    def send(self, selection: Selection) -> Sequence[str]:
        """Send the command of a selection; return the notices of the MDM server.

        If `up` publishes another profile meanwhile, this one is sent, too. Otherwise a device could get the former
        profile after the next one.

        Raises:
            DeliveryError: The MDM server did not accept the command for all devices. The message has the number of
                devices that it is queued for.
            IosMdmError: The profile that was published meanwhile must not be used.
        """
        notices: dict[str, None] = {}
        remaining: Selection | None = selection
        while remaining is not None and remaining.targets:
            notices |= dict.fromkeys(self._send(remaining))
            remaining = self._replacement(remaining)
        return tuple(notices)

    def _replacement(self, sent: Selection) -> Selection | None:
        """Return the profile that was published after this selection, for its devices; None if there is none."""
        found = self._ledger.publication(sent.server.name)
        if sent.kind is CommandKind.LIST or found is None or found.revision == sent.publication.revision:
            return None
        publication = self._checked_publication(sent.server)
        self._report("`up` published another profile meanwhile: it is queued, too")
        now = microseconds(self._clock.now())
        records = self._ledger.devices(sent.server.name, enrollment_ids=tuple(sent.targets))
        targets = {one.enrollment_id: Target.of(one)._replace(asked=now) for one in records}
        return replace(sent, publication=publication, targets=targets)

    def _send(self, selection: Selection) -> Sequence[str]:
        """Send the command of a selection. Raises the ``DeliveryError`` of :meth:`send`."""
        count = len(selection.targets)
        progress = Progress(self._report)
        with contextlib.closing(self._channel()) as channel:
            sender = Sender(channel, lambda sent: progress.show(lambda: f"queued for {sent} of {count} devices so far"))
            try:
                with Recorder(self._ledger, selection.publication) as recorder:
                    commands = LedgerSender(sender, selection.publication, self._clock, recorder)
                    for part in parts(tuple(selection.targets)):
                        targets = {one: selection.targets[one] for one in part}
                        is_proof_configured = selection.server.settings.ledger_rules.is_proof_configured
                        commands.send(selection.kind, targets, is_proof_configured=is_proof_configured)
            except DeliveryError as error:
                raise DeliveryError(
                    f"{error}. The command is queued for {sender.sent} of {count} devices: run the command again to "
                    "continue with the others"
                ) from error
        return tuple(sender.notices)

    def _selection(
        self,
        server: RequestedServer,
        kind: CommandKind,
        states: Collection[DeviceState],
        *,
        ids: Collection[str] | None,
    ) -> Selection:
        publication = self._checked_publication(server)
        now = self._clock.now()
        policy = server.settings.ledger_rules.policy(publication, now)
        chosen = [one for one in server.enrollment_ids if ids is None or one in ids]
        counts = dict.fromkeys(DeviceState, 0)
        targets: dict[str, Target] = {}
        for record in self._ledger.devices(server.name, enrollment_ids=chosen):
            state = device_status(record, policy).state
            if state in states:
                counts[state] += 1
                # A requested list is a new command each time.
                targets[record.enrollment_id] = Target.of(record)._replace(asked=microseconds(now))
        found = {state: count for state, count in counts.items() if count}
        return Selection(server=server, publication=publication, kind=kind, states=found, targets=targets)

    def _checked_publication(self, server: RequestedServer) -> Publication:
        """Return the published profile of a server.

        Raises:
            DeliveryError: Nothing is published, or the profile is for another MDM server or has other content than
                certificates.
            IdentityError: The profile is not that of the pair.
            TakenOverError: Another stack owns the pair.
            StoreError: There is no pair, or the profile does not cover a certificate that devices must trust.
        """
        publication = self._ledger.publication(server.name)
        advice = "run `pulumi up`, which publishes the profile of the definition"
        if publication is None:
            raise DeliveryError(f"the ledger has no published profile of server {server.name}: {advice}")
        url = server.settings.channel.chosen.destination
        if publication.channel != url:
            raise DeliveryError(
                f"the published profile of server {server.name} is for the MDM server {publication.channel or 'none'}, "
                f"but the definition names {url}: {advice}"
            )
        problem = refused_content(publication.profile)
        if problem is not None:
            raise DeliveryError(
                f"the published profile of server {server.name} is not sent, because {problem}: check which programs "
                f"write to the ledger, then {advice}"
            )
        observed = self._owned_pair(server)
        self._check_identifier(server, observed, publication, advice)
        untrusted = untrusted_versions(observed, trust_anchors(publication.profile), self._clock.now())
        if untrusted:
            names = ", ".join(f"certificate {one.ordinal}" for one in untrusted)
            raise StoreError(
                f"the published profile of server {server.name} does not cover {names}, which devices must trust: "
                f"{advice}"
            )
        return publication

    def _owned_pair(self, server: RequestedServer) -> ObservedPair:
        """Return the pair of a server, which must belong to the stack of the definition.

        The resource id of the pair is in the state of the stack, which commands do not read. So only the name of the
        stack is compared.
        """
        found = self._store.describe(server.secret)
        if found is None or found.deleted_at is not None:
            problem = "does not exist" if found is None else "is scheduled for deletion"
            raise StoreError(f"the secret {server.secret} of server {server.name} {problem}: run `pulumi up`")
        observed = observed_pair(server.secret, found)
        if found.tags.get(RESOURCE_ID_TAG) is None:
            raise TakenOverError(
                f"the pair in secret {server.secret} belongs to no stack, so its profile is not sent: run `pulumi up` "
                "in the stack that takes it over"
            )
        owner = observed.owner
        if server.stack is not None and owner is not None and owner.partition("/")[2] != server.stack:
            raise TakenOverError(
                f"the pair in secret {server.secret} belongs to the stack {owner}, and the definition to the stack "
                f"{server.stack}: run the command with the definition of the first one"
            )
        return observed

    def _check_identifier(
        self, server: RequestedServer, observed: ObservedPair, publication: Publication, advice: str
    ) -> None:
        pair_id = None if observed.identity is None else observed.identity.pair_id
        expected = profile_identifier(server.settings.profile.identifier, pair_id)
        found = plistlib.loads(publication.profile).get("PayloadIdentifier")
        if pair_id is None or found != expected:
            raise IdentityError(
                f"the published profile of server {server.name} has the identifier {found}, and the profile of its "
                f"pair {'has no identifier yet' if pair_id is None else expected}: {advice}"
            )
