"""The files that an administrator, or another tool, uses to distribute a profile through another MDM server.

Equal profiles give equal files: they contain no time.
"""

from __future__ import annotations

import json
import plistlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ios_mdm.core.profile import certificate_digests, profile_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MANIFEST", "Manifest", "is_own_file", "profile_file", "profile_files"]

MANIFEST: Final = "manifest.json"
"""Name of the manifest. It is written last, so a reader that finds a digest in it also finds the profile."""

_FORMAT: Final = "ios-mdm profile 1"
_WRITTEN: Final = "Written by ios-mdm for the server"
_FLEET: Final = "4.83"
"""Version of Fleet whose documentation of YAML files the snippet follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The read content of a manifest.

    Args:
        server: name of the server.
        profile: name of the file with the profile.
        former: names of the files with profiles that other identifiers had before, which devices keep.
    """

    server: str
    profile: str
    former: tuple[str, ...]

    @staticmethod
    def from_bytes(content: bytes) -> Manifest | None:
        """Return the manifest, or None if the content is not a manifest of this format."""
        try:
            found = json.loads(content)
            if found["format"] != _FORMAT:
                return None
            server, profile, former = found["server"], found["profile"]["file"], found["formerProfiles"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        if not isinstance(former, list) or not all(isinstance(one, str) for one in (server, profile, *former)):
            return None
        return Manifest(server=server, profile=profile, former=tuple(former))

    def former_of(self, profile: str) -> tuple[str, ...]:
        """Return the names of the files with profiles other than the file *profile*, sorted."""
        return tuple(sorted({self.profile, *self.former} - {profile}))


def profile_file(identifier: str) -> str:
    """Return the name of the file with the profile of this PayloadIdentifier."""
    return f"{identifier}.mobileconfig"


def profile_files(profile: bytes, *, server: str, host: str, former: Sequence[str] = ()) -> Mapping[str, bytes]:
    """Return the content of each file by its name, in the order in which the files are written.

    Args:
        profile: the .mobileconfig.
        server: name of the server.
        host: connection address without its port.
        former: names of the files with former profiles, which devices must keep.
    """
    payload = plistlib.loads(profile)
    identifier, digest = str(payload["PayloadIdentifier"]), profile_digest(profile)
    certificates = sorted(one.hex() for one in certificate_digests(profile))
    name = profile_file(identifier)
    files = {
        name: profile,
        f"{identifier}.fleet.yml": _fleet_snippet(server, [name, *former]).encode(),
        f"{identifier}.md": _instructions(
            server, host, name=name, digest=digest, certificates=certificates, former=former
        ).encode(),
    }
    manifest = {
        "format": _FORMAT,
        "server": server,
        "address": host,
        "profile": {
            "file": name,
            "sha256": digest,
            "identifier": identifier,
            "displayName": str(payload["PayloadDisplayName"]),
            "certificatesSha256": certificates,
        },
        "formerProfiles": list(former),
        "files": {file: profile_digest(content) for file, content in files.items()},
        "nextStep": _next_step(digest),
    }
    return {**files, MANIFEST: f"{json.dumps(manifest, indent=2, ensure_ascii=False)}\n".encode()}


def is_own_file(name: str, content: bytes, *, server: str, identifier: str) -> bool:
    """Return whether an existing file was written for the profile with this identifier, or is its server's manifest.

    Args:
        name: name of the file, one of :func:`profile_files`.
        content: content of the file.
        server: name of the server.
        identifier: PayloadIdentifier of the profile.
    """
    if name == MANIFEST:
        manifest = Manifest.from_bytes(content)
        return manifest is not None and manifest.server == server
    if name == profile_file(identifier):
        try:
            payload = plistlib.loads(content, fmt=plistlib.FMT_XML)
        except Exception:  # noqa: BLE001 - the parser raises errors of many types, and the file is then not a profile
            return False
        return isinstance(payload, dict) and payload.get("PayloadIdentifier") == identifier
    return f"{_WRITTEN} {server}.".encode() in content.partition(b"\n")[0]


def _next_step(digest: str) -> str:
    return (
        "Distribute the profile to every device with your MDM server. When the devices have it, set "
        f"distribution.channel.directory.distributed to {digest}, and run `pulumi up`"
    )


def _fleet_snippet(server: str, profiles: Sequence[str]) -> str:
    paths = "".join(f"      - path: {name}\n" for name in profiles)
    names = (
        "# Fleet refuses profiles with equal names: change PayloadDisplayName, and nothing else, in former files.\n"
        if len(profiles) > 1
        else ""
    )
    return (
        f"# {_WRITTEN} {server}. Do not edit: the next change of the profile replaces this file.\n"
        f"# Keys of Fleet {_FLEET}. Earlier versions call them macos_settings and custom_settings.\n"
        "# Add these entries to the YAML file of your fleet. A path is relative to that file.\n"
        "# Keep every entry: Fleet removes a profile from the devices when its entry is removed.\n"
        f"{names}"
        "controls:\n"
        "  apple_settings:\n"
        "    configuration_profiles:\n"
        f"{paths}"
    )


def _instructions(
    server: str, host: str, *, name: str, digest: str, certificates: Sequence[str], former: Sequence[str]
) -> str:
    listed = "".join(f"- `{one}`\n" for one in certificates)
    kept = "".join(f"- `{one}`\n" for one in former)
    formerly = f"\nDevices must also keep these former profiles:\n\n{kept}" if former else ""
    return (
        f"<!-- {_WRITTEN} {server}. Do not edit: the next change of the profile replaces this file. -->\n\n"
        f"# Trusted certificates of {server} ({host})\n\n"
        f"`{name}` makes devices trust the present and the next certificate of their MDM server.\n"
        "It contains public certificates only, and is not signed.\n\n"
        f"SHA-256 of the file: `{digest}`\n\n"
        f"SHA-256 of each certificate in it:\n\n{listed}{formerly}\n"
        "## Distribute it\n\n"
        "Replace the content of the profile that devices have from this file.\n"
        "If your MDM server can only add a new profile, delete the former one after every device has the new one.\n\n"
        f"- **Fleet {_FLEET}, GitOps:** add the entries of `{name.removesuffix('.mobileconfig')}.fleet.yml`.\n"
        "- **Jamf Pro:** Devices, Configuration Profiles, Upload; then set the scope.\n"
        "- **Microsoft Intune:** Devices, iOS/iPadOS, Configuration, a new profile from the template Custom; choose "
        "the\n  device channel, upload the file, and assign it.\n"
        f"- **MicroMDM:** `mdmctl apply profiles -f {name}`, and name the profile in a blueprint. A blueprint is "
        "applied when a\n  device enrolls: send an InstallProfile command to devices that are enrolled already.\n"
        "- **Any other MDM server:** upload the file as a custom configuration profile for all iOS and iPadOS "
        "devices.\n\n"
        "## Confirm it\n\n"
        "When the devices have the profile, set this key of the server's definition, and run `pulumi up`:\n\n"
        "```yaml\n"
        "distribution:\n"
        "  channel:\n"
        "    directory:\n"
        f"      distributed: {digest}\n"
        "```\n\n"
        "Until then, no certificate that is new in this profile becomes main before main expires.\n"
    )
