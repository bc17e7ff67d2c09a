"""Warnings of a preview about connections that devices might refuse, from the handshake that it makes anyway."""

from __future__ import annotations

import pytest

from ios_mdm.core.connection.handshake import Handshake, Protocol, Refusal
from tests.support.fleet import ENDPOINT, Fleet

OLD = Handshake(protocol=Protocol.TLS_1_1, refusal=Refusal.VERSION, reason="tlsv1 alert protocol version")
WITHOUT_SECRET = Handshake(
    protocol=Protocol.TLS_1_2, cipher="ECDHE-RSA-AES128-GCM-SHA256", has_extended_master_secret=False
)
GOOD = Handshake(protocol=Protocol.TLS_1_3, cipher="TLS_AES_128_GCM_SHA256")


@pytest.mark.parametrize(
    ("handshake", "reason"),
    [
        (OLD, "tls-version"),
        (WITHOUT_SECRET, "tls-master-secret"),
        (Handshake(protocol=None, refusal=Refusal.VERSION), "tls-version"),
    ],
    ids=["TLS 1.1", "no extended master secret", "no version in common"],
)
def test_a_preview_warns_about_a_connection_that_devices_might_refuse(handshake: Handshake, reason: str) -> None:
    """The warning needs no other call of the probe than the check of the presented certificate."""  # R48
    world = Fleet()
    world.run()
    world.endpoint.sha256, world.endpoint.handshake = world.facts(1).sha256, handshake
    world.endpoint.calls = 0
    notices = world.notices()
    assert world.endpoint.calls == 1
    assert notices[reason].startswith(f"OS 27 might refuse connections to {ENDPOINT} (Apple 126655): found ")
    world.endpoint.handshake = GOOD
    assert reason not in world.notices()


def test_the_preview_of_a_new_pair_warns_about_the_server_at_its_address() -> None:
    """The server has to change its configuration before devices of OS 27 connect to it."""  # R48
    world = Fleet()
    world.endpoint.sha256, world.endpoint.handshake = "0" * 64, OLD
    assert {"another-server", "tls-version"} <= set(world.notices())
    world.endpoint.handshake = GOOD
    assert "tls-version" not in world.notices()


def test_an_endpoint_that_cannot_be_reached_has_no_warning_about_its_connection() -> None:
    """The configuration of the server is unknown then."""  # R48
    world = Fleet()
    world.run()
    assert not [one for one in world.notices() if one.startswith("tls-")]
