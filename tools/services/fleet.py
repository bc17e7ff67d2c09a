"""Simulated devices (mdmb): they enroll by SCEP, fetch their commands on request, and store their profiles."""

from __future__ import annotations

import plistlib
import re
import subprocess
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tools.services import bolt, enrollment
from tools.services.process import Command, child_environment
from tools.services.secret_file import write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_DATABASE = "mdmb.db"
_CONNECT_WORKERS = 1
"""The simulator uses pages of its database after the end of their transaction. If another worker writes to these pages
at the same time, the simulator signs with a broken certificate (NanoMDM answers 400) or crashes."""
_ROOM = 8 << 20
"""Length of the database in bytes, so that it is never mapped again while the simulator runs. Uses no disk space."""
_PATIENCE = 60.0
_PATIENCE_PER_DEVICE = 5.0
"""Time limits in seconds: mdmb waits for a locked database without a limit."""
_EXCERPT = 600
_FAILED_CONNECT = re.compile(r"device connect for device (?P<id>[0-9A-F-]{36}): (?P<reason>.*)")


class FleetError(Exception):
    """The simulator failed, or it does not have a requested device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProfile:
    """A profile on a device. `content` is the installed plist, byte by byte."""

    identifier: str
    content: bytes

    def payloads(self, kind: str) -> tuple[Mapping[str, object], ...]:
        """Return the payloads with the PayloadType *kind*, such as com.apple.security.root."""
        return tuple(
            payload for payload in plistlib.loads(self.content)["PayloadContent"] if payload["PayloadType"] == kind
        )

    def roots(self) -> tuple[bytes, ...]:
        """Return the roots that this profile makes trusted, as DER certificates, in the profile's order."""
        return tuple(
            content
            for payload in self.payloads("com.apple.security.root")
            if isinstance(content := payload["PayloadContent"], bytes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Enrollment ids of the devices that processed their commands, and the reasons of the others by enrollment id."""

    connected: frozenset[str]
    failed: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The simulated devices whose database is in `state`.

    The enrollment id of a device is its UDID: 36 upper-case characters. The simulator locks its database, so a second
    call waits for the first.
    """

    executable: Path
    state: Path

    def ids(self) -> tuple[str, ...]:
        """Return the enrollment ids of all devices, enrolled or not, sorted."""
        return tuple(sorted(key.decode() for key in self._bucket("device_serial")))

    def enrolled_ids(self) -> tuple[str, ...]:
        """Return the enrollment ids of the enrolled devices, sorted."""
        return tuple(sorted(key.decode() for key in self._bucket("device_mdm_profile_id")))

    def grow(self, count: int) -> tuple[str, ...]:
        """Create devices until `count` exist; return all enrollment ids."""
        missing = count - len(self.ids())
        if missing > 0:
            self._run((), "devices-create", "-n", str(missing))
        return self.ids()

    def enroll(self, profile: bytes, *, again: bool = False) -> tuple[str, ...]:
        """Enroll each device that is not enrolled with exactly this profile; return their ids.

        A device with another enrollment profile (the server has another port now) is enrolled again: NanoMDM deletes
        its pending commands, and the device keeps its other profiles.

        Args:
            profile: Enrollment profile.
            again: Whether devices with this profile are enrolled again, too.

        Raises:
            FleetError: Devices could not enroll. The message quotes the simulator.

        """
        enrollments, enrolled = self._enrollments(), set(self.enrolled_ids())
        pending = tuple(udid for udid in self.ids() if again or enrollments.get(udid) != profile)
        stale = tuple(udid for udid in pending if udid in enrolled)
        if stale:
            self._run(stale, "devices-profiles-remove", "-i", enrollment.IDENTIFIER)
        if pending:
            file = self.state / "enrollment.mobileconfig"
            write_private(file, profile)  # it contains the SCEP challenge
            output = self._run(pending, "devices-profiles-install", "-f", str(file))
            # The exit code of the simulator is always 0, so read the devices' profiles.
            enrollments = self._enrollments()
            failed = [udid for udid in pending if enrollments.get(udid) != profile]
            if failed:
                raise FleetError(f"{len(failed)} of {len(pending)} devices did not enroll:\n{_excerpt(output)}")
        return pending

    def poll(self, ids: Iterable[str] | None = None) -> Poll:
        """Let devices (default: all enrolled ones) connect and process all their commands.

        Raises:
            FleetError: A device does not exist or is not enrolled.

        """
        enrolled = self.enrolled_ids()
        asked = tuple(sorted(set(enrolled if ids is None else ids)))
        unknown = sorted(set(asked) - set(enrolled))
        if unknown:
            raise FleetError(f"not enrolled: {', '.join(unknown)}")
        if not asked:
            return Poll(connected=frozenset(), failed=MappingProxyType({}))
        output = self._run(asked, "devices-connect", "-w", str(_CONNECT_WORKERS))
        failed = {match["id"]: match["reason"] for match in _FAILED_CONNECT.finditer(output)}
        return Poll(connected=frozenset(asked) - failed.keys(), failed=MappingProxyType(failed))

    def remove(self, udid: str, identifier: str) -> None:
        """Remove a profile from a device without the MDM server, as an erasure of the device does.

        Raises:
            FleetError: The device does not exist.

        """
        if udid not in self.ids():
            raise FleetError(f"no such device: {udid}")
        self._run((udid,), "devices-profiles-remove", "-i", identifier)

    def profiles(self, udid: str) -> tuple[InstalledProfile, ...]:
        """Return the profiles on a device, including its enrollment profile, sorted by identifier."""
        return self.all_profiles().get(udid, ())

    def all_profiles(self) -> Mapping[str, tuple[InstalledProfile, ...]]:
        """Return the profiles on each device by enrollment id. Reads the database once."""
        found: dict[str, tuple[InstalledProfile, ...]] = {}
        for key, content in sorted(self._bucket("profiles").items()):
            udid, _, identifier = key.decode().partition("_")
            found[udid] = (*found.get(udid, ()), InstalledProfile(identifier=identifier, content=content))
        return MappingProxyType(found)

    def _enrollments(self) -> Mapping[str, bytes]:
        return {
            udid: profile.content
            for udid, profiles in self.all_profiles().items()
            for profile in profiles
            if profile.identifier == enrollment.IDENTIFIER
        }

    def _bucket(self, name: str) -> Mapping[bytes, bytes]:
        database = self.state / _DATABASE
        return bolt.read(database).get(name, {}) if database.exists() else {}

    def _run(self, ids: tuple[str, ...], *arguments: str) -> str:
        database = self.state / _DATABASE
        if database.exists():
            bolt.make_room(database, _ROOM)
        chosen = ("-uuids", "-") if ids else ()
        command = Command(argv=(str(self.executable), "-db", str(database), *chosen, *arguments))
        try:
            done = subprocess.run(
                command.argv,
                input="".join(f"{udid}\n" for udid in ids),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.state,
                env=child_environment(self.state, command),
                umask=0o077,
                timeout=_PATIENCE + _PATIENCE_PER_DEVICE * len(ids),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FleetError(f"the simulator did not run: {error}") from error
        if done.returncode != 0:
            raise FleetError(f"{arguments[0]} ended with {done.returncode}:\n{_excerpt(done.stdout)}")
        return done.stdout


def _excerpt(output: str) -> str:
    """Return the start and the end of a long output: a crash has its reason at the start, a failure at the end."""
    return output if len(output) <= 2 * _EXCERPT else f"{output[:_EXCERPT]}\n[…]\n{output[-_EXCERPT:]}"
