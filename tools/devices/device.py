"""The model of a device: its content, and its answers to commands. It opens no connection."""

from __future__ import annotations

import plistlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tools.devices.profiles import ProfileError, certificate, read_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.devices.profiles import Profile

__all__ = ["TOPIC", "Behavior", "Device", "DeviceError"]

TOPIC: Final = "com.apple.mgmt.test"
_UNREADABLE_PROFILE: Final = 4001
_UNKNOWN_COMMAND: Final = 12021

Content = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceError:
    """One error in the ErrorChain of an answer."""

    domain: str = "MCInstallationErrorDomain"
    code: int = _UNREADABLE_PROFILE
    description: str = "The profile could not be installed."

    @property
    def content(self) -> Content:
        """The error as a dictionary of the ErrorChain."""
        return {
            "ErrorCode": self.code,
            "ErrorDomain": self.domain,
            "LocalizedDescription": self.description,
            "USEnglishDescription": self.description,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Behavior of a device. By default, it acknowledges each command that it knows.

    Args:
        not_now: number of answers NotNow before the device processes commands.
        errors: ErrorChain of the answers to InstallProfile; empty if the device installs profiles.
        is_silent: whether the device enrolls, and then never connects.
        enrolls_after_install: whether the device is erased and enrolls again after each installed profile.
        foreign: certificates that another source than the MDM server installed, DER.
    """

    not_now: int = 0
    errors: tuple[DeviceError, ...] = ()
    is_silent: bool = False
    enrolls_after_install: bool = False
    foreign: tuple[bytes, ...] = ()


@dataclass(slots=True, kw_only=True)
class Device:
    """A device. Tests may replace its behavior at any time.

    Args:
        udid: UDID, which is the enrollment id of the device.
        identity: identity certificate of the current enrollment, DER; empty before the first one.
        behavior: behavior of the device.
        profiles: installed profiles by PayloadIdentifier.
        is_enrolled: whether the device is enrolled.
        answers: number of answers by request type and status.
    """

    udid: str
    identity: bytes = field(default=b"", repr=False)
    behavior: Behavior = field(default_factory=Behavior)
    profiles: dict[str, Profile] = field(default_factory=dict)
    is_enrolled: bool = False
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    _postponed: int = 0

    def authenticate(self) -> bytes:
        """Return the message that requests an enrollment."""
        names = {"BuildVersion": "24A1", "DeviceName": f"iPad {self.udid}", "Model": "MX1", "OSVersion": "18.0"}
        serial = {"ProductName": "iPad14,1", "SerialNumber": self.udid[-12:]}
        return self._message({"MessageType": "Authenticate", "Topic": TOPIC, **names, **serial})

    def token_update(self) -> bytes:
        """Return the message that completes an enrollment."""
        token: Content = {"PushMagic": "magic", "Token": b"token", "AwaitingConfiguration": False}
        return self._message({"MessageType": "TokenUpdate", "Topic": TOPIC, **token})

    def check_out(self) -> bytes:
        """Return the message that ends an enrollment."""
        return self._message({"MessageType": "CheckOut", "Topic": TOPIC})

    def idle(self) -> bytes:
        """Return the message that requests the next command."""
        return self._message({"Status": "Idle"})

    def answer(self, command: bytes) -> bytes:
        """Process a command (plist) of the MDM server, and return the answer."""
        parsed = plistlib.loads(command)
        request = parsed["Command"]
        kind = str(request["RequestType"])
        content = self._postponement() or self._result(kind, request)
        self.answers[kind, str(content["Status"])] += 1
        return self._message({"CommandUUID": parsed["CommandUUID"], **content})

    def erase(self) -> None:
        """Delete all content, and end the enrollment. The MDM server gets no message."""
        self.profiles.clear()
        self.is_enrolled = False

    def remove(self, identifier: str) -> None:
        """Remove a profile as the user of the device does. The MDM server gets no message.

        Raises:
            KeyError: The profile is not installed.
        """
        del self.profiles[identifier]

    @property
    def installations(self) -> int:
        """Number of profiles that the device installed so far."""
        return self.answers["InstallProfile", "Acknowledged"]

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Certificates of the installed profiles, DER, sorted by profile."""
        return tuple(one.der for _, profile in sorted(self.profiles.items()) for one in profile.certificates)

    def _message(self, content: Mapping[str, object]) -> bytes:
        return plistlib.dumps({"UDID": self.udid, **content})

    def _postponement(self) -> Content | None:
        if self._postponed >= self.behavior.not_now:
            return None
        self._postponed += 1
        return {"Status": "NotNow"}

    def _result(self, kind: str, request: Mapping[str, object]) -> Content:
        match kind:
            case "InstallProfile":
                return self._installation(request["Payload"])
            case "CertificateList":
                return {"Status": "Acknowledged", "CertificateList": self._certificate_list(request)}
            case "ProfileList":
                listed = [
                    {"PayloadIdentifier": one.identifier, "PayloadUUID": one.uuid, "PayloadVersion": 1}
                    for one in self.profiles.values()
                ]
                return {"Status": "Acknowledged", "ProfileList": listed}
        unknown = DeviceError(
            domain="MCMDMErrorDomain", code=_UNKNOWN_COMMAND, description=f"“{kind}” is not a valid request type."
        )
        return _failure(unknown)

    def _installation(self, payload: object) -> Content:
        if self.behavior.errors:
            return _failure(*self.behavior.errors)
        try:
            profile = read_profile(payload if isinstance(payload, bytes) else b"")
        except ProfileError as error:
            return _failure(DeviceError(description=str(error)))
        self.profiles[profile.identifier] = profile
        return {"Status": "Acknowledged"}

    def _certificate_list(self, request: Mapping[str, object]) -> list[Content]:
        """Return the identity, the certificates of profiles and, unless only managed ones are listed, all others."""
        others = () if request.get("ManagedOnly") else self.behavior.foreign
        listed = [(self.identity, True), *((one, False) for one in (*self.certificates, *others))]
        return [
            {"CommonName": certificate(der).common_name, "Data": der, "IsIdentity": identity}
            for der, identity in listed
        ]


def _failure(*errors: DeviceError) -> Content:
    return {"Status": "Error", "ErrorChain": [one.content for one in errors]}
