"""Uses of the public API that type checkers refuse.

Each ignore names the expected error. mypy warns about unused ignores, so `make lint` fails if mypy starts to accept one
of these uses.
"""

from __future__ import annotations

import pulumi

from components import IosMdmServer, IssueMainSettings, MainSettings, ProfileOutputs, ReserveSettings, server_arguments


def arguments(address: pulumi.Output[str]) -> None:
    """Pass arguments that are missing, unknown or of another type."""
    IosMdmServer("berlin")  # type: ignore[call-arg]
    IosMdmServer("berlin", "mdm.example.com")  # type: ignore[call-arg]
    IosMdmServer("berlin", address="mdm.example.com", adress="mdm.example.com")  # type: ignore[call-arg]
    # An output is unknown in previews, and the address decides which certificates are issued.
    IosMdmServer("berlin", address=address)  # type: ignore[arg-type]
    IosMdmServer("berlin", address="mdm.example.com", main=ReserveSettings(none=True))  # type: ignore[arg-type]
    IosMdmServer("berlin", address="mdm.example.com", main={"issue": {}})  # type: ignore[arg-type]
    IosMdmServer("berlin", address="mdm.example.com", warn_days="14")  # type: ignore[arg-type]


def settings() -> None:
    """Create settings with unknown keys, or with values of another type."""
    MainSettings(isue=IssueMainSettings())  # type: ignore[call-arg]
    IssueMainSettings(key="ec-p256")  # type: ignore[arg-type]
    ReserveSettings(none=False)  # type: ignore[arg-type]


def outputs(server: IosMdmServer, profile: ProfileOutputs) -> None:
    """Read outputs that can be None, that are unknown in previews, or that do not exist."""
    server.reserve.apply(lambda reserve: reserve["sha256"])  # type: ignore[index]
    server.main.apply(lambda main: main["sha1"])  # type: ignore[typeddict-item]
    str.upper(server.phase)  # type: ignore[arg-type]
    str(server.profile.sha256)  # type: ignore[union-attr]
    str(server.certificate)  # type: ignore[attr-defined]
    profile.revision = pulumi.Output.from_input(2)  # type: ignore[misc]


def configuration() -> None:
    """Create arguments from a dictionary, although they are created from the settings of a server only."""
    server_arguments({"address": "mdm.example.com"})  # type: ignore[arg-type]
