"""Connects simulated devices to an MDM server, on a limited number of connections."""

from __future__ import annotations

import asyncio
import plistlib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tools.devices.connections import Address, Connection
from tools.devices.device import Behavior, Device

if TYPE_CHECKING:
    from tools.devices.authority import DeviceAuthority

__all__ = ["Fleet", "Round"]

MAX_CONNECTIONS: Final = 256


@dataclass(slots=True)
class Round:
    """The requests of devices that the MDM server answered with 200.

    Args:
        connected: devices that completed all their requests.
        answers: CommandUUID and status of each answer to a command, by UDID.
        failures: reason of each device that did not complete its requests, by UDID.
    """

    connected: set[str] = field(default_factory=set)
    answers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def statuses(self) -> Counter[str]:
        """Number of answers by status."""
        return Counter(status for answers in self.answers.values() for _, status in answers)

    def devices(self, command_uuid: str, status: str = "Acknowledged") -> set[str]:
        """Return the UDIDs of the devices that answered a command with this status."""
        return {udid for udid, answers in self.answers.items() if (command_uuid, status) in answers}

    def add(self, udid: str, answer: bytes) -> None:
        """Record an answer (plist) that the MDM server accepted."""
        parsed = plistlib.loads(answer)
        self.answers.setdefault(udid, []).append((parsed["CommandUUID"], parsed["Status"]))


_Action = Callable[[Device, Connection, Round], Awaitable[None]]


class Fleet:
    """Devices of one MDM server.

    Args:
        url: URL of the endpoint for check-ins and commands, such as ``http://127.0.0.1:9000/mdm``.
        authority: the CA of the devices, which the MDM server trusts.
        cert_header: header with the identity certificate of a device, NanoMDM's ``-cert-header``.
        max_connections: maximum number of connections at the same time.

    Raises:
        ValueError: The URL is not on loopback.
    """

    def __init__(
        self, url: str, authority: DeviceAuthority, *, cert_header: str, max_connections: int = MAX_CONNECTIONS
    ) -> None:
        self._address = Address.parse(url, cert_header)
        self._authority = authority
        self._max_connections = max_connections
        self.devices: dict[str, Device] = {}

    def add(self, count: int, behavior: Behavior | None = None) -> list[Device]:
        """Create devices with random UDIDs, which are not enrolled; return them."""
        made = [Device(udid=str(uuid.uuid4()).upper(), behavior=behavior or Behavior()) for _ in range(count)]
        self.devices |= {one.udid: one for one in made}
        return made

    def enroll(self, devices: Iterable[Device] | None = None) -> Round:
        """Enroll devices, also again. By default, these are all devices that are not enrolled.

        Each enrollment has a new identity certificate, as with SCEP.
        """
        chosen = [one for one in self.devices.values() if not one.is_enrolled] if devices is None else list(devices)
        return asyncio.run(self._each(chosen, self._enroll))

    def check_out(self, devices: Iterable[Device]) -> Round:
        """End the enrollment of devices with a message to the MDM server."""
        return asyncio.run(self._each(list(devices), self._check_out))

    def connect(self, devices: Iterable[Device] | None = None) -> Round:
        """Let devices process all their commands. By default, these are all enrolled devices.

        Silent devices do not connect. A device with ``enrolls_after_install`` enrolls again at the end.
        """
        return asyncio.run(self._each(self._awake(devices), self._process))

    def answer_at_once(self, devices: Iterable[Device] | None = None) -> Round:
        """Let devices fetch one command each, and then send all answers at the same time."""
        return asyncio.run(self._answer_at_once(self._awake(devices)))

    def _awake(self, devices: Iterable[Device] | None) -> list[Device]:
        chosen = self.devices.values() if devices is None else devices
        return [one for one in chosen if one.is_enrolled and not one.behavior.is_silent]

    async def _answer_at_once(self, devices: Sequence[Device]) -> Round:
        prepared: dict[str, tuple[bytes, bytes]] = {}

        async def fetch(device: Device, connection: Connection, _: Round) -> None:
            if command := await connection.exchange(self._address.request(device.identity, device.idle())):
                answer = device.answer(command)
                prepared[device.udid] = (self._address.request(device.identity, answer), answer)

        async def send(device: Device, connection: Connection, made: Round) -> None:
            request, answer = prepared[device.udid]
            await connection.exchange(request)
            made.add(device.udid, answer)

        fetched = await self._each(devices, fetch)
        made = await self._each([one for one in devices if one.udid in prepared], send)
        made.failures |= fetched.failures
        return made

    async def _each(self, devices: Sequence[Device], action: _Action) -> Round:
        """Apply *action* to each device. A connection that failed is replaced by a new one."""
        made, waiting = Round(), iter(devices)

        async def send_requests() -> None:
            for first in waiting:
                device: Device | None = first
                try:
                    async with Connection(self._address) as connection:
                        while device is not None:
                            await action(device, connection, made)
                            made.connected.add(device.udid)
                            device = next(waiting, None)
                except OSError as error:
                    assert device is not None  # noqa: S101 - the loop ends without a device
                    made.failures[device.udid] = str(error)

        await asyncio.gather(*(send_requests() for _ in range(min(self._max_connections, len(devices)))))
        return made

    async def _enroll(self, device: Device, connection: Connection, _: Round) -> None:
        device.identity = self._authority.identity(device.udid)
        for message in (device.authenticate(), device.token_update()):
            await connection.exchange(self._address.request(device.identity, message, is_check_in=True))
        device.is_enrolled = True

    async def _check_out(self, device: Device, connection: Connection, _: Round) -> None:
        await connection.exchange(self._address.request(device.identity, device.check_out(), is_check_in=True))
        device.is_enrolled = False

    async def _process(self, device: Device, connection: Connection, made: Round) -> None:
        installations = device.installations
        command = await connection.exchange(self._address.request(device.identity, device.idle()))
        while command:
            answer = device.answer(command)
            command = await connection.exchange(self._address.request(device.identity, answer))
            made.add(device.udid, answer)
        if device.behavior.enrolls_after_install and device.installations > installations:
            device.erase()
            await self._enroll(device, connection, made)
