"""The MDM server of a definition that posts its events to the collector."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Self

from ios_mdm.cli.definition_file import Definition, read_definition
from ios_mdm.errors import DefinitionError, IosMdmError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ios_mdm.app.collector.newcomers import Newcomers
    from ios_mdm.ports import Ledger
    from ios_mdm.settings import DistributionSettings, ServerSettings
    from ios_mdm.wiring import Wiring

__all__ = ["MdmServer"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MdmServer:
    """An MDM server of a definition.

    Args:
        definition: the definition.
        distribution: settings of a distribution through the MDM server.
    """

    definition: Definition
    distribution: DistributionSettings

    @classmethod
    def read(cls, file: Path, server: str | None) -> Self:
        """Read the MDM server of a definition.

        Args:
            file: the file of the definition.
            server: name of a server of the definition; None if all servers have the same MDM server.

        Raises:
            DefinitionError: The definition is invalid, has no such server, or has no or several MDM servers.
        """
        definition = read_definition(file)
        distributions = [
            one.distribution
            for one in definition.servers(server)
            if one.distribution is not None and one.distribution.channel.devices is not None
        ]
        found = {one.channel.chosen.destination: one for one in reversed(distributions)}
        if not found:
            which = file.name if server is None else f"the server {server} in {file.name}"
            raise DefinitionError(
                f"{which} has no distribution through an MDM server, so no profile is sent: remove --definition"
            )
        if len(found) > 1:
            raise DefinitionError(
                f"{file.name} has several MDM servers ({', '.join(sorted(found))}): add --server with the name of a "
                "server whose MDM server posts its events to this collector"
            )
        return cls(definition=definition, distribution=next(iter(found.values())))

    def ledger(self, wired: Wiring) -> Ledger:
        """Return the ledger of the definition.

        Raises:
            DefinitionError: The definition names no ledger.
        """
        if self.distribution.ledger is None:
            raise DefinitionError(
                f"{self.definition.path.name} names no ledger: add `ledger: sqlite:///path` to distribution, so that "
                "`pulumi up` records the profile there, and run `pulumi up`"
            )
        return self._wiring(wired).ledger(self.distribution.ledger, self.definition.settings.aws.region)

    def newcomers(self, wired: Wiring, ledger: Ledger, wait: Callable[[float], bool]) -> Newcomers:
        """Return the sender of the published profile to new devices.

        Args:
            wired: wiring of the process.
            ledger: the ledger with the published profiles.
            wait: waits a number of seconds; returns True without delay if the process stops.
        """
        region = self.definition.settings.aws.region
        return self._wiring(wired).newcomers(
            self.distribution, region, ledger, servers_with_proof=self.servers_with_proof, wait=wait
        )

    @property
    def servers_with_proof(self) -> frozenset[str]:
        """Names of the servers that ask devices for their certificates."""
        distributions = {one.name: one.distribution for one in self.definition.settings.servers}
        return frozenset(
            name for name, one in distributions.items() if one is not None and one.ledger_rules.is_proof_configured
        )

    def move_switches(self, wired: Wiring) -> None:
        """Evaluate the gate of each server that has one, and move its armed switch. Failures are logged."""
        here = self._wiring(wired)
        for server in self.definition.servers(None):
            mover = here.switch_mover(
                server,
                self.definition.settings.aws,
                report=partial(_log.info, "server %s: %s", server.name),
                warn=partial(_log.warning, "server %s: %s", server.name),
            )
            if mover is None or not self._is_served(server):
                continue
            try:
                mover.move()
            except IosMdmError as error:
                _log.error(
                    "server %s: its gate is not evaluated now: %s. The next `pulumi up` does it", server.name, error
                )

    def delete_left_devices(self, wired: Wiring, ledger: Ledger) -> None:
        """Delete the records of devices that left more than ``retentionDays`` ago. Failures are logged.

        Of several servers with this MDM server, the longest retention counts. The records of a device that the
        definition lists are kept.
        """
        servers = filter(self._is_served, self.definition.servers(None))
        days = max(one.distribution.retention_days for one in servers if one.distribution is not None)
        try:
            count = ledger.delete_devices(
                left_before=wired.clock().now() - timedelta(days=days), kept=self._listed_devices(wired)
            )
        except IosMdmError as error:
            _log.error("records of devices that left are not deleted now: %s. The next attempt is in a day", error)
        else:
            if count:
                _log.info("deleted the records of %d devices that left more than %d days ago", count, days)

    def _listed_devices(self, wired: Wiring) -> frozenset[str]:
        """Return the enrollment ids that the definition lists, also for servers with other MDM servers.

        Raises:
            DefinitionError: A list of devices cannot be read.
        """
        here, region = self._wiring(wired), self.definition.settings.aws.region
        distributions = (one.distribution for one in self.definition.servers(None))
        listed = (one for one in distributions if one is not None and one.channel.devices and not one.is_for_all)
        return frozenset(device for one in listed for device in here.devices(one, region))

    @property
    def has_gate(self) -> bool:
        """Whether a server of this MDM server has a gate."""
        servers = filter(self._is_served, self.definition.servers(None))
        return any(one.promotion.minimum_coverage is not None for one in servers)

    def _is_served(self, server: ServerSettings) -> bool:
        """Return whether a server distributes its profile through this MDM server."""
        distribution = server.distribution
        url = self.distribution.channel.chosen.destination
        return distribution is not None and distribution.channel.chosen.destination == url

    def _wiring(self, wired: Wiring) -> Wiring:
        """Return a wiring for the paths of the definition."""
        return replace(wired, base=self.definition.base)
