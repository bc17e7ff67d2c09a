"""The provider's hooks, called as the engine calls them, on a real AWS emulator behind a recording proxy."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ios_mdm.adapters import aws
from ios_mdm.resources.certificate_pair import CertificatePairProvider
from tests.support.stack import Recorded, recording_proxy
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.services.testing import MdmServices

KEY = "__provider"


@dataclass(slots=True, kw_only=True)
class Engine:
    """The engine's calls for one resource: check, diff, then create or update. Numbers travel as floats."""

    provider: CertificatePairProvider
    aws: Recorded
    program: dict[str, Any]
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    id: str = ""

    def checked_inputs(self) -> dict[str, Any]:
        """Return the checked inputs."""
        result = self.provider.check(wire_form(self.inputs or {}), wire_form(self.program))
        assert not result.failures, [failure.reason for failure in result.failures]
        inputs: dict[str, Any] = dict(result.inputs)
        return inputs

    def failures(self) -> list[str]:
        """Return the failures of check."""
        result = self.provider.check(wire_form(self.inputs or {}), wire_form(self.program))
        return [failure.reason for failure in result.failures]

    def up(self) -> str:
        """Make the calls of `pulumi up`; return create, update or unchanged."""
        inputs = self.checked_inputs()
        if self.outputs is None:
            created = self.provider.create(wire_form(inputs))
            self.id, self.outputs, self.inputs = created.id, dict(created.outs or {}), inputs
            return "create"
        if not self.provider.diff(self.id, wire_form(self.outputs), wire_form(inputs)).changes:
            return "unchanged"
        updated = self.provider.update(self.id, wire_form(self.outputs), wire_form(inputs))
        self.outputs, self.inputs = dict(updated.outs or {}), inputs
        return "update"


def wire_form(value: Any) -> Any:
    """Return *value* in the form in which the engine sends it."""
    if isinstance(value, bool) or not isinstance(value, int | dict | list):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, dict):
        return {key: wire_form(item) for key, item in value.items()}
    return [wire_form(item) for item in value]


@contextmanager
def engine_on(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Yield an engine with one server that is used only here, on the emulator at *url*."""
    with recording_proxy(url) as proxy:
        for name, value in {
            **ministack.CREDENTIALS,
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_CONFIG_FILE": os.devnull,
        }.items():
            monkeypatch.setenv(name, value)
        name = f"s{uuid4().hex[:8]}"
        issue = {"when": "now", "apply": {"afterDays": 30}}
        definition = {
            "name": name,
            "address": "mdm.example.com",
            "endpoints": [],
            "main": {"issue": {"key": "ec-p256"}},
            "reserve": {"issue": issue},
        }
        yield Engine(
            provider=CertificatePairProvider(),
            aws=proxy,
            program={
                "server": name,
                "secret": f"ios-mdm/{name}",
                "owner": "organization/ios-mdm/test",
                "aws": {"secretPrefix": "ios-mdm", "tags": {}, "recoveryWindowDays": 30},
                "definition": definition,
                "distributed": False,
            },
        )
        aws.close_clients()


@pytest.fixture
def engine(mdm_services: MdmServices, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Return an engine with one server that is used only here."""
    with engine_on(mdm_services.services.aws_url, monkeypatch) as found:
        yield found
