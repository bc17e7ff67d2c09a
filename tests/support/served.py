"""A server with a distribution to devices, on doubles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ios_mdm.app.delivery.service import DeliveryService
from ios_mdm.app.reconcile import Distribution, Reconciler, ReconcileRequest
from ios_mdm.core.pair.definition import AfterDays, IssueReserve, NoReserve, When
from ios_mdm.errors import DeliveryError
from ios_mdm.settings import PromotionSettings
from ios_mdm.settings.distribution import ProfileSettings
from tests.support.pairs import SECRET, definition
from tests.support.switching import Armed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.pair.values import PairRequest
    from ios_mdm.app.reconcile import Progress
    from ios_mdm.core.pair.definition import PairDefinition


@dataclass(slots=True)
class Channel:
    """An MDM server that can be down."""

    down: bool = False
    taken: int = 0

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return one batch."""
        return [enrollment_ids]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept the command, or raise DeliveryError if the server is down."""
        assert command
        if self.down:
            raise DeliveryError("the MDM server is down")
        self.taken += len(enrollment_ids)
        return ()


@dataclass(slots=True)
class Server:
    """A pair with its switch and its distribution."""

    armed: Armed = field(default_factory=Armed)
    channel: Channel = field(default_factory=Channel)

    @property
    def reconciler(self) -> Reconciler:
        """Return the use case that reconciles the server."""
        world = self.armed.world
        deliveries = DeliveryService(lambda: self.channel, world.store, None, world.clock, report=world.reports.append)
        return Reconciler(world.service, self.armed.service, deliveries)

    def request(self, wish: PairDefinition) -> ReconcileRequest:
        """Return the request for a server whose devices are sent a profile."""
        pair = self.armed.world.request(replace(wish, distributed=True))
        settings = ProfileSettings(identifier="com.example.trust")
        promotion = PromotionSettings(hold=wish.promotion.hold, schedule=wish.promotion.schedule)
        distribution = Distribution(settings=settings, enrollment_ids=("device-1",))
        return ReconcileRequest(pair=pair, promotion=promotion, distribution=distribution)

    def up(self, wish: PairDefinition) -> Progress:
        """Run all stages."""
        return self.reconciler.reconcile(self.request(wish))

    def pair(self, wish: PairDefinition) -> PairRequest:
        """Return the request for the pair."""
        return self.request(wish).pair

    def with_another_main(self, wish: PairDefinition) -> PairDefinition:
        """Return the definition with a request to replace main."""
        main = self.armed.world.service.observe(SECRET)
        assert main is not None
        assert main.main is not None
        assert main.main.facts is not None
        return replace(wish, replace_main=True, confirm_main=main.main.facts.sha256)

    @property
    def labels(self) -> dict[str, int | str]:
        """Return the ordinal of the certificate with each label."""
        return self.armed.world.labels


QUIET = definition(NoReserve())
WAITS = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30)))
