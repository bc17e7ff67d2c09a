"""A stack with a pair in memory, whose profile was sent to devices: for commands that read a ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm import wiring
from ios_mdm.__main__ import app
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.service import DeliveryRequest, DeliveryService
from ios_mdm.core.ledger.values import AnswerStatus, DeviceEvent
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG
from ios_mdm.core.profile import certificate_digests
from tests.support.command_line import Result
from tests.support.distribution import RESOURCE_ID, Queue
from tests.support.events import record_answer
from tests.support.pairs import NOW, SECRET, World, definition
from tests.support.wiring import TestWiring

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.app.pair.values import PairResult

DEVICES = ("A-1", "A-2", "A-3", "A-4")
URL = "https://mdm.example.com"


@dataclass(slots=True)
class Stack:
    """A stack file, a pair in memory whose profile was sent, and the ledger.

    Args:
        file: the stack file.
        pair: the pair.
        mdm: the queue of the MDM server.
    """

    file: Path
    pair: World = field(default_factory=World)
    mdm: Queue = field(default_factory=lambda: Queue(batch_size=10))

    @property
    def ledger(self) -> SqliteLedger:
        """The ledger of the definition."""
        return SqliteLedger(self.file.parent / "ledger.sqlite")

    def define(self, **changes: Any) -> None:
        """Write the definition."""
        distribution = {
            "profile": {"identifier": "com.example.mdm"},
            "channel": {"nanomdm": {"url": URL, "apiKeySecret": "mdm/api-key"}},
            "devices": list(DEVICES),
            "ledger": "sqlite:///ledger.sqlite",
            **changes,
        }
        servers = [
            {"name": "berlin", "address": "mdm.example.com", "endpoints": [], "distribution": distribution},
            {"name": "plain", "address": "plain.example.com"},
        ]
        (self.file.parent / "Pulumi.yaml").write_text("name: ios-mdm\n", encoding="utf-8")
        self.file.write_text(yaml.safe_dump({"config": {"ios-mdm:servers": servers}}), encoding="utf-8")

    def up(self) -> PairResult:
        """Issue the pair, and send its profile."""
        result = self.pair.apply()
        self.pair.store.tag(SECRET, {RESOURCE_ID_TAG: RESOURCE_ID})
        service = DeliveryService(
            lambda: self.mdm, self.pair.store, self.ledger, self.pair.clock, report=self.pair.reports.append
        )
        content = ProfileContent(
            server="berlin",
            host="mdm.example.com",
            identifier=profile_identifier("com.example.mdm", self.pair.pair_id),
            organization=None,
            trusted=result.view.desired.trusted_ordinals,
            chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
        )
        request = DeliveryRequest(
            content=content,
            secret=SECRET,
            secret_arn=self.pair.arn,
            resource_id=None,
            enrollment_ids=DEVICES,
            channel=URL,
        )
        service.deliver(request)
        return result

    def issue_reserve(self) -> None:
        """Issue another reserve, and send nothing."""
        self.pair.store.untag(SECRET, [RESOURCE_ID_TAG])
        self.pair.apply(definition(replace(NOW, generation=2)))
        self.pair.store.tag(SECRET, {RESOURCE_ID_TAG: RESOURCE_ID})

    def run(self, *arguments: str) -> Result:
        """Run a command, and forget the commands that were queued before it."""
        self.mdm.latest.clear()
        self.mdm.asked.clear()
        option = [] if arguments[0] == "status" else ["--definition"]
        ran = CliRunner().invoke(app, [arguments[0], *option, str(self.file), *arguments[1:]])
        assert "Traceback" not in ran.output
        return Result(ran.exit_code, ran.stdout, ran.stderr)

    def answer(self, device: str, status: AnswerStatus) -> None:
        """Record the answer of a device to its last profile."""
        (uuid, *_) = [uuid for one, uuid in self.mdm.known if one == device]
        record_answer(self.ledger, uuid, device, status, detail="no space", at=self.pair.clock.now())

    def report_certificates(self, device: str) -> None:
        """Record that a device has the certificates of the profile."""
        publication = self.ledger.publication("berlin")
        assert publication is not None
        at = self.pair.clock.now()
        one = DeviceEvent(
            identity=b"list" * 4,
            at=at,
            topic="mdm.Connect",
            enrollment_id=device,
            certificates=certificate_digests(publication.profile),
        )
        self.ledger.record_events([one], now=at)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose four devices were sent the profile."""
    made = Stack(tmp_path / "Pulumi.demo.yaml")
    here = TestWiring(environ={}, base=tmp_path, memory=made.pair.store, hand_clock=made.pair.clock, mdm=made.mdm)
    monkeypatch.setattr(wiring, "process_wiring", lambda: here)
    made.define()
    made.up()
    return made
