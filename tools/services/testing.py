"""Pytest fixtures with the real local services. `tests/conftest.py` imports them.

Each pytest-xdist worker is a separate session, with separate services in a separate directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tools.services import local
from tools.services.webhook import Recorder
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.services.fleet import Fleet

DEVICES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MdmServices:
    """The running services, and the events that NanoMDM sent to its webhook."""

    services: local.LocalServices
    webhook: Recorder

    @property
    def fleet(self) -> Fleet:
        """The simulated devices."""
        return self.services.fleet


@pytest.fixture(scope="session")
def executables() -> local.Executables:
    """Return the programs of the bootstrap."""
    tools = Toolchain.load()
    return local.Executables(
        ministack=tools.ministack, nanomdm=tools.nanomdm, scepserver=tools.scepserver, mdmb=tools.mdmb
    )


@pytest.fixture(scope="session")
def mdm_services(tmp_path_factory: pytest.TempPathFactory, executables: local.Executables) -> Iterator[MdmServices]:
    """Run an AWS emulator, NanoMDM with enrolled devices, and a webhook receiver, for the whole test session."""
    state = tmp_path_factory.mktemp("services")
    with Recorder(state / "mdm-webhook-key") as webhook:
        try:
            services = local.up(state, executables, webhook_url=webhook.url, devices=DEVICES, storage="inmem")
            yield MdmServices(services=services, webhook=webhook)
        finally:
            local.down(state)
