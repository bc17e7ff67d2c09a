"""Without a ledger, the pair's secret records the sent profile: a profile that returns must reach each device again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.service import DeliveryRequest, DeliveryService
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG
from ios_mdm.errors import DeliveryError
from tests.support.distribution import RESOURCE_ID, Queue
from tests.support.pairs import SECRET, World

if TYPE_CHECKING:
    from ios_mdm.app.pair.values import PairResult

DEVICES = ("A-1", "A-2", "A-3")


@dataclass(slots=True)
class Server:
    """A pair whose profile is sent without a ledger, in batches of two devices."""

    pair: World = field(default_factory=World)
    mdm: Queue = field(default_factory=lambda: Queue(batch_size=2))
    result: PairResult = field(init=False)

    def __post_init__(self) -> None:
        """Issue the pair, and record its resource."""
        self.result = self.pair.apply()
        self.pair.store.tag(SECRET, {RESOURCE_ID_TAG: RESOURCE_ID})

    def deliver(self, organization: str) -> bytes:
        """Send the profile with this organization; return the profile."""
        content = ProfileContent(
            server="berlin",
            host="mdm.example.com",
            identifier=profile_identifier("com.example.mdm", self.pair.pair_id),
            organization=organization,
            trusted=self.result.view.desired.trusted_ordinals,
            chains={ordinal: one.pem for ordinal, one in self.result.certificates.items()},
        )
        request = DeliveryRequest(
            content=content,
            secret=SECRET,
            secret_arn=self.pair.arn,
            resource_id=None,
            enrollment_ids=DEVICES,
            is_channel_same=True,
        )
        service = DeliveryService(
            lambda: self.mdm, self.pair.store, None, self.pair.clock, report=self.pair.reports.append
        )
        return service.deliver(request).profile


def test_after_an_interrupted_run_the_former_profile_is_sent_to_each_device() -> None:
    """The first batch was sent another profile, so the record of the former one no longer counts."""  # R15
    server = Server()
    former = server.deliver("Example")
    server.mdm.calls_left = 1
    with pytest.raises(DeliveryError, match="queued for 2 of 3 devices"):
        server.deliver("Other")
    server.mdm.calls_left = None
    assert server.deliver("Example") == former
    assert server.mdm.latest == dict.fromkeys(DEVICES, former)
