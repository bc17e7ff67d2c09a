"""Simulated devices (mdmb): they enrol by SCEP, fetch their commands when told to, and keep the profiles they got."""

from __future__ import annotations

import plistlib
import re
import subprocess
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tools.services import bolt, enrolment
from tools.services.process import Command, child_environment
from tools.services.secret_file import write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_DATABASE = "mdmb.db"
_CONNECT_WORKERS = 1
"""The simulator goes on using pages of its database when their transaction has ended, so another worker could write to
them meanwhile: it would sign with a broken certificate (NanoMDM answers 400), or crash."""
_ROOM = 8 << 20
"""Bytes; for the same reason its database must not have to move while it runs. Costs no disk space."""
_PATIENCE = 60.0
_PATIENCE_PER_DEVICE = 5.0
"""Seconds; mdmb would wait for its locked database for ever."""
_EXCERPT = 600
_FAILED_CONNECT = re.compile(r"device connect for device (?P<id>[0-9A-F-]{36}): (?P<reason>.*)")


class FleetError(Exception):
    """The simulator failed, or was asked about a device that it does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProfile:
    """A profile as a device keeps it: `content` is the exact plist that was installed, payload contents included."""

    identifier: str
    content: bytes

    def payloads(self, kind: str) -> tuple[Mapping[str, object], ...]:
        """Return the payloads of one PayloadType, such as com.apple.security.root."""
        return tuple(
            payload for payload in plistlib.loads(self.content)["PayloadContent"] if payload["PayloadType"] == kind
        )

    def roots(self) -> tuple[bytes, ...]:
        """Return the DER certificates that this profile makes trusted roots, in its order."""
        return tuple(
            content
            for payload in self.payloads("com.apple.security.root")
            if isinstance(content := payload["PayloadContent"], bytes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Who reached the MDM server and processed its commands, and why the others (by enrolment id) did not."""

    connected: frozenset[str]
    failed: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The simulated devices whose database is in `state`.

    An enrolment id is the device's UDID: 36 characters, upper-case. The simulator locks its database, so a second call
    waits for the first.
    """

    executable: Path
    state: Path

    def ids(self) -> tuple[str, ...]:
        """Return the enrolment ids of all devices, enrolled or not, sorted."""
        return tuple(sorted(key.decode() for key in self._bucket("device_serial")))

    def enrolled(self) -> tuple[str, ...]:
        """Return the enrolment ids of the enrolled devices, sorted."""
        return tuple(sorted(key.decode() for key in self._bucket("device_mdm_profile_id")))

    def grow(self, count: int) -> tuple[str, ...]:
        """Create devices until there are `count`; return the ids of all."""
        missing = count - len(self.ids())
        if missing > 0:
            self._run((), "devices-create", "-n", str(missing))
        return self.ids()

    def enrol(self, profile: bytes, *, anew: bool = False) -> tuple[str, ...]:
        """Enrol every device that is not enrolled with exactly this profile, or all (`anew`); return their ids.

        A device that was enrolled with another one (the server got another port) is enrolled anew: NanoMDM forgets
        its pending commands then; the device keeps its other profiles.

        Raises:
            FleetError: devices could not enrol; the message quotes the simulator.

        """
        enrolments, enrolled = self._enrolments(), set(self.enrolled())
        pending = tuple(udid for udid in self.ids() if anew or enrolments.get(udid) != profile)
        stale = tuple(udid for udid in pending if udid in enrolled)
        if stale:
            self._run(stale, "devices-profiles-remove", "-i", enrolment.IDENTIFIER)
        if pending:
            file = self.state / "enrolment.mobileconfig"
            write_private(file, profile)  # it holds the SCEP challenge
            output = self._run(pending, "devices-profiles-install", "-f", str(file))
            # The simulator ends with 0 whatever happens, so ask the devices.
            enrolments = self._enrolments()
            failed = [udid for udid in pending if enrolments.get(udid) != profile]
            if failed:
                raise FleetError(f"{len(failed)} of {len(pending)} devices did not enrol:\n{_excerpt(output)}")
        return pending

    def poll(self, ids: Iterable[str] | None = None) -> Poll:
        """Let devices (default: all that are enrolled) connect, and process their commands until none is left.

        Raises:
            FleetError: one of them does not exist or is not enrolled.

        """
        enrolled = self.enrolled()
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
        """Remove a profile from a device without the MDM server, as erasing the device does.

        Raises:
            FleetError: the device does not exist.

        """
        if udid not in self.ids():
            raise FleetError(f"no such device: {udid}")
        self._run((udid,), "devices-profiles-remove", "-i", identifier)

    def profiles(self, udid: str) -> tuple[InstalledProfile, ...]:
        """Return the profiles on a device, sorted by identifier; its enrolment profile is one of them."""
        return self.all_profiles().get(udid, ())

    def all_profiles(self) -> Mapping[str, tuple[InstalledProfile, ...]]:
        """Return the profiles on every device by enrolment id, from one reading of the database."""
        found: dict[str, tuple[InstalledProfile, ...]] = {}
        for key, content in sorted(self._bucket("profiles").items()):
            udid, _, identifier = key.decode().partition("_")
            found[udid] = (*found.get(udid, ()), InstalledProfile(identifier=identifier, content=content))
        return MappingProxyType(found)

    def _enrolments(self) -> Mapping[str, bytes]:
        return {
            udid: profile.content
            for udid, profiles in self.all_profiles().items()
            for profile in profiles
            if profile.identifier == enrolment.IDENTIFIER
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
    """Return the two ends of a long output: a crash says why at first, a failure at last."""
    return output if len(output) <= 2 * _EXCERPT else f"{output[:_EXCERPT]}\n[…]\n{output[-_EXCERPT:]}"
