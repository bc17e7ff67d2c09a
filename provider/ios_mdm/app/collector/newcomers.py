"""Sends the published profile to devices whose enrollment began (R43)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ios_mdm.app.delivery.recorder import Recorder
from ios_mdm.app.delivery.sender import LedgerSender, Sender, Target
from ios_mdm.core.certificate_profile import refused_content
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.errors import BatchTooLargeError, DefinitionError, IosMdmError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ios_mdm.core.ledger.values import DeviceRecord, Publication
    from ios_mdm.ports import Clock, Ledger, MdmChannel

__all__ = ["RETRIES", "Newcomers"]

RETRIES: Final = (2.0, 15.0, 60.0)
"""Seconds before each further attempt to queue a command. A restart of the MDM server takes less time."""

_LATER: Final = "The next `pulumi up` sends it"

_log = logging.getLogger(__name__)


class Newcomers:
    """Sends the bytes that `up` published last, once in each enrollment. It renders and signs nothing.

    The ledger counts the pushes of a device and refuses more than three in a day. So a device that enrolls again after
    each push does not cause an endless loop. Every failure is logged and left to the next `up`.

    Args:
        ledger: the ledger with the published profiles.
        clock: returns the time of each command.
        url: URL of the MDM server that reports the events. It sends only the profiles that are published for it.
        channel: returns the connection to this MDM server, with its API key. It is called again after a failure,
            because the key may have changed.
        servers_with_proof: names of the servers for which a device is asked for its certificates after the profile.
        wait: waits a number of seconds; returns True without delay if the process stops.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        url: str,
        channel: Callable[[], MdmChannel],
        servers_with_proof: Collection[str],
        wait: Callable[[float], bool],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._url = url
        self._new_channel = channel
        self._channel: MdmChannel | None = None
        self._servers_with_proof = servers_with_proof
        self._wait = wait
        self._refused: set[tuple[str, int]] = set()

    def prepare(self) -> None:
        """Read the API key before the first device enrolls.

        Raises:
            DefinitionError: The secret does not exist, is not for the MDM server, or holds no API key.
            StoreError: AWS refuses a call, or does not answer.
        """
        self._connection()

    def close(self) -> None:
        """Close the connection to the MDM server. The API key is read again for the next command."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def send(self, enrollment_ids: Sequence[str]) -> None:
        """Queue each published profile for those of these devices that must have it. Failures are logged."""
        try:
            for publication in self._ledger.publications():
                if publication.channel == self._url and self._is_allowed(publication):
                    self._send(publication, enrollment_ids)
        except IosMdmError as error:
            _log_failure(f"the profile is not sent to {len(enrollment_ids)} new devices: {error}")

    def _is_allowed(self, publication: Publication) -> bool:
        """Return whether a profile has certificates only. Log other content once."""
        problem = refused_content(publication.profile)
        key = (publication.server, publication.revision)
        if problem is not None and key not in self._refused:
            self._refused.add(key)
            _log.error(
                "the profile of server %s in the ledger is not sent to new devices, because %s: check which programs "
                "write to the ledger, then run `pulumi up`",
                publication.server,
                problem,
            )
        return problem is None

    def _send(self, publication: Publication, enrollment_ids: Sequence[str]) -> None:
        """Queue one profile, and repeat that after a failure. A repeated command has the same CommandUUID."""
        due = self._targets(publication, enrollment_ids)
        if not due:
            return
        self._call_with_retries(self._connection)  # a push counts, so first the API key must be known
        targets = {one: due[one] for one in self._devices_with_push(publication, list(due))}
        if not targets:
            return
        try:
            self._call_with_retries(lambda: self._queue(publication, targets))
            self._send_replacement(publication, list(targets))
        except IosMdmError as error:
            devices = "a new device" if len(targets) == 1 else f"each of {len(targets)} new devices"
            _log_failure(f"the profile of server {publication.server} is not sent to {devices}: {error}")

    def _send_replacement(self, former: Publication, enrollment_ids: Sequence[str]) -> None:
        """Queue the profile that `up` published while *former* was queued, after it. A device keeps the last profile.

        The ledger may already record that `up` queued this profile, before *former*. Only a publication causes this, so
        it does not count as a push.
        """
        last = self._ledger.publication(former.server)
        if last is None or last.revision == former.revision or last.channel != self._url or not self._is_allowed(last):
            return
        records = self._ledger.devices(last.server, enrollment_ids=enrollment_ids)
        targets = {one.enrollment_id: Target.of(one) for one in records if one.enrollment.is_enrolled}
        if targets:
            self._call_with_retries(lambda: self._queue(last, targets, is_replacement=True))
            self._send_replacement(last, list(targets))

    def _targets(self, publication: Publication, enrollment_ids: Sequence[str]) -> Mapping[str, Target]:
        """Return those of these devices that must be sent a profile."""
        records = self._ledger.devices(publication.server, enrollment_ids=enrollment_ids)
        return {one.enrollment_id: Target.of(one) for one in records if _is_due(publication, one)}

    def _devices_with_push(self, publication: Publication, enrollment_ids: Sequence[str]) -> Sequence[str]:
        """Count a push to each of these devices; return the devices within the limit."""
        now = self._clock.now()
        claimed = [one for one in enrollment_ids if self._ledger.claim_push(one, at=now)]
        for one in sorted({*enrollment_ids} - {*claimed}):
            _log.warning(
                "device %s was sent three profiles within a day, so it is not sent the profile of server %s now: it "
                "enrolls often, or more than three servers have this MDM server. %s",
                one,
                publication.server,
                _LATER,
            )
        return claimed

    def _queue(self, publication: Publication, targets: Mapping[str, Target], *, is_replacement: bool = False) -> None:
        """Queue a profile for those of these devices that were not sent it by an earlier attempt, then ask them all.

        A replacement is queued for all of them. An earlier attempt has the same CommandUUIDs.
        """
        sender = Sender(self._connection(), lambda _sent: None)
        with Recorder(self._ledger, publication) as recorder:
            commands = LedgerSender(sender, publication, self._clock, recorder)
            if waiting := targets if is_replacement else self._targets(publication, list(targets)):
                commands.install(waiting, is_proof_configured=False)
                _log.info("queued the profile of server %s for %d new devices", publication.server, len(waiting))
            if publication.server in self._servers_with_proof:
                commands.ask(targets)
        for notice in sender.notices:
            _log.warning("%s", notice)

    def _call_with_retries(self, call: Callable[[], object]) -> None:
        for delay in RETRIES:
            try:
                call()
            except (BatchTooLargeError, DefinitionError):
                self.close()
                raise
            except IosMdmError:
                self.close()
                if self._wait(delay):
                    raise
            else:
                return
        call()

    def _connection(self) -> MdmChannel:
        if self._channel is None:
            self._channel = self._new_channel()
        return self._channel


def _is_due(publication: Publication, record: DeviceRecord) -> bool:
    """Return whether a device must be sent a published profile that it was not sent in its current enrollment.

    A profile that is not for all devices is for those that it was sent to before, in any enrollment.
    """
    progress, enrollment = record.progress, record.enrollment
    if not enrollment.is_enrolled:
        return False
    if progress is None:
        return publication.is_for_all
    if progress.queued == NEVER and not publication.is_for_all:
        return False
    return progress.revision < publication.revision or not progress.was_sent(enrollment.epoch)


def _log_failure(problem: str) -> None:
    _log.error("%s. %s", problem, _LATER)
