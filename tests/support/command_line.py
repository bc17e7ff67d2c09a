"""Fixtures: pairs on a real emulator, and the command line, run as a process and in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.adapters import aws
from ios_mdm.adapters.clock import FixedClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.prerequisites import AwsPrerequisites
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest
from ios_mdm.app.switch_request import SwitchRequest
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.ledger.values import AnswerStatus
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.profile import certificate_digests, profile_digest, trust_profile
from ios_mdm.settings import parse_server
from tests.support.aws import AWS
from tests.support.events import record_answer, record_sent
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ios_mdm.app.pair.values import PairResult

START = datetime(2040, 1, 1, tzinfo=UTC)
API_KEY = "mdm/api-key"
MDM_URL = "https://mdm.example.com"
DEVICES = ("AAAA-1", "AAAA-2", "AAAA-3", "AAAA-4", "AAAA-5")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str


def run(*arguments: str, cwd: Path, environment: Mapping[str, str]) -> Result:
    """Run the command line as a process; its only variables are *environment* and PATH."""
    process = subprocess.run(
        [sys.executable, "-m", "ios_mdm", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in process.stdout + process.stderr
    return Result(process.returncode, process.stdout, process.stderr)


@dataclass(slots=True, kw_only=True)
class Pair:
    """A server with its definition file, and its pair on the emulator after `make`."""

    folder: Path
    url: str
    name: str = field(default_factory=lambda: f"s{uuid4().hex[:8]}")

    @property
    def file(self) -> Path:
        """Path of the definition."""
        return self.folder / "definition.yaml"

    @property
    def secret(self) -> str:
        """Name of the pair's secret."""
        return f"ios-mdm/{self.name}"

    @property
    def ledger(self) -> SqliteLedger:
        """The ledger that the definition names."""
        return SqliteLedger(self.folder / "ledger.db")

    def environment(self, days: float = 0) -> dict[str, str]:
        """Return the variables of a rehearsal at a number of days after the start."""
        moment = START + timedelta(days=days)
        return {
            **ministack.CREDENTIALS,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "IOS_MDM_CLOCK": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "TZ": "UTC",
        }

    def define(self, *, distributed: bool = True, **changes: Any) -> dict[str, Any]:
        """Write the definition as a stack file, and return the server."""
        server = {
            "name": self.name,
            "address": "mdm.example.com",
            "endpoints": [],
            "main": {"issue": {"key": "ec-p256"}},
            "reserve": {"issue": {"when": "now", "apply": {"afterDays": 30}}},
            **changes,
        }
        if distributed:
            server["distribution"] = {
                "profile": {"identifier": f"com.example.{self.name}", "organization": "Example"},
                "channel": {"nanomdm": {"url": MDM_URL, "apiKeySecret": API_KEY}},
                "devices": list(DEVICES),
                "ledger": "sqlite:///ledger.db",
            }
        config = {"ios-mdm:servers": [server]}
        self.file.write_text(yaml.safe_dump({"encryptionsalt": "v1:x", "config": config}), encoding="utf-8")
        return server

    def make(self, *, days: float = 0, **changes: Any) -> PairResult:
        """Write the definition and reconcile the pair, at a number of days after the start."""
        server = parse_server(self.define(**changes), self.name)
        request = PairRequest(
            definition=server.definition(), secret=self.secret, owner="organization/ios-mdm/test", tags={}
        )
        clock = FixedClock(time=START + timedelta(days=days))
        made = PairService(SecretsManager(aws=AWS), clock, rehearsal=True).apply(request)
        if made.view.observed is not None:
            switch = SwitchRequest(
                server=self.name,
                secret=self.secret,
                secret_arn=made.view.observed.arn,
                switch=made.switch,
                distributed=False,
            )
            SwitchService(EventBridgeScheduler(aws=AWS), AwsPrerequisites(aws=AWS), SecretsManager(aws=AWS), clock).arm(
                switch
            )
        return made

    def profile(self, result: PairResult) -> bytes:
        """Return the profile of a pair."""
        assert result.view.observed is not None
        assert result.view.observed.identity is not None
        return trust_profile(
            [certificate.pem for certificate in result.certificates.values()],
            identifier=profile_identifier(f"com.example.{self.name}", result.view.observed.identity.pair_id),
            server=self.name,
            host="mdm.example.com",
            organization="Example",
        )

    def deliver(self, result: PairResult, answers: Mapping[str, str]) -> str:
        """Record that the profile was queued for all devices and that some answered; return its digest."""
        profile = self.profile(result)
        record_sent(
            self.ledger,
            "C1",
            server=self.name,
            profile=profile,
            enrollment_ids=DEVICES,
            certificates=certificate_digests(profile),
            at=START,
        )
        for device, answer in answers.items():
            detail = "[bold]no\x1b[2J" if answer == "error" else ""
            record_answer(self.ledger, "C1", device, AnswerStatus(answer), detail=detail, at=START)
        return profile_digest(profile)

    def status(self, *arguments: str, days: float = 0, **environment: str) -> Result:
        """Run `status` on the definition, in this process."""
        variables = {**self.environment(days), **environment}
        result = CliRunner().invoke(app, ["status", str(self.file), *arguments], env=variables)
        assert "Traceback" not in result.output
        return Result(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def pair(tmp_path: Path, no_aws: pytest.MonkeyPatch, ministack_url: str) -> Iterator[Pair]:
    """A server on the emulator; its pair does not exist yet."""
    made = Pair(folder=tmp_path, url=ministack_url)
    for variable, value in made.environment().items():
        no_aws.setenv(variable, value)
    no_aws.delenv("IOS_MDM_CLOCK")
    aws.close_clients()
    SecretsManager(aws=AWS).create(API_KEY, tags={"ios-mdm:url": MDM_URL}, description="", kms_key=None)
    yield made
    aws.close_clients()
