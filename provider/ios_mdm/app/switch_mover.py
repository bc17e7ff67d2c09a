"""Moves an armed switch after another decision of its gate, outside of a run of Pulumi (R46).

A mover only changes the time of a schedule that a run created. The schedule must have one of the two times that the
definition allows: the time of the open gate or that of the closed one. So a mover with a former definition, or for a
pair that another stack has taken over, changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.app.stored_definition import existing_pair, stored_definition
from ios_mdm.app.switch_request import armed_promotion, made_switch_request
from ios_mdm.core.pair.layout import observed_pair
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.switch import switch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.app.gate import GateService
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.app.switching import SwitchService
    from ios_mdm.ports import Clock, SecretStore
    from ios_mdm.settings import AwsSettings, ServerSettings

__all__ = ["SHORTEST_TIME", "SwitchMover"]

SHORTEST_TIME: Final = timedelta(hours=1)
"""Shortest time between two decisions of a mover, so that a device that comes and goes does not move the switch often.
"""

_SOON: Final = timedelta(minutes=5)
"""Time from a late opening of the gate to the switch. Scheduler does not create a schedule in the past."""


class SwitchMover:
    """Moves the switch of one server.

    Args:
        server: settings of the server.
        aws: settings of AWS.
        store: stores the pairs.
        clock: read once for each call.
        gates: evaluates the gate.
        switches: changes the schedule.
        devices: returns the enrollment ids of the devices; None for all devices of the ledger.
    """

    def __init__(
        self,
        server: ServerSettings,
        aws: AwsSettings,
        *,
        store: SecretStore,
        clock: Clock,
        gates: GateService,
        switches: SwitchService,
        devices: Callable[[], Sequence[str] | None],
    ) -> None:
        self._server = server
        self._secret = aws.secret_name(server.name)
        self._store = store
        self._clock = clock
        self._gates = gates
        self._switches = switches
        self._devices = devices

    def move(self) -> bool:
        """Evaluate the gate, and move the schedule to the time of its decision; return whether it was moved.

        Raises:
            DefinitionError: The definition is not for this pair, or the list of devices cannot be read.
            DeliveryError: The ledger cannot be used.
            StoreError: AWS does not answer or refuses.
        """
        request = self._request()
        if request is None:
            return False
        request = self._gates.record_decision(request, self._devices(), shortest=SHORTEST_TIME)
        return self._switches.move_promotion(_in_the_future(request, self._clock))

    def _request(self) -> SwitchRequest | None:
        """Return the request for the armed switch; None if a run is due, or if another definition armed the switch."""
        description = self._store.describe(self._secret)
        observed = None if description is None else observed_pair(self._secret, description)
        pair = existing_pair(observed, self._secret, self._server.host)
        if pair.recorded_ordinal < pair.highest_ordinal:
            return None  # a tag was lost: a run restores it, and numbers of certificates are uncertain until then
        definition = stored_definition(self._server, pair)
        wanted = desired_state(definition, pair, self._clock.now())
        slots = [None if one is None else one.ordinal for one in (pair.main, pair.reserve)]
        if wanted.requests or [wanted.main, wanted.reserve] != slots:
            return None
        request = made_switch_request(
            self._server.promotion,
            server=self._server.name,
            secret=self._secret,
            secret_arn=pair.arn,
            switch=switch(definition, wanted, pair),
            distributed=True,
        )
        promote = request.promote
        if promote is None or promote.gate is None or pair.armed is None:
            return None
        allowed = [armed_promotion(promote.with_gate(is_open=is_open)) for is_open in (True, False)]
        return request if pair.armed in allowed else None


def _in_the_future(request: SwitchRequest, clock: Clock) -> SwitchRequest:
    """Return the request with a promotion that a schedule can carry out."""
    promote = request.switch.promote
    earliest = clock.now() + _SOON
    if promote is None or promote.at >= earliest:
        return request
    return replace(request, switch=replace(request.switch, promote=replace(promote, at=earliest)))
