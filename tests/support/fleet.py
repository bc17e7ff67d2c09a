"""A pair on doubles, whose devices the guard of a distribution protects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.secret_record import is_recorded
from ios_mdm.app.delivery.service import DeliveryRequest, DeliveryService
from ios_mdm.core.pair.observed import ServedCertificate
from tests.support.pairs import NOW, SECRET, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.pair.values import KnownPair, PairResult
    from ios_mdm.core.connection.handshake import Handshake
    from ios_mdm.core.pair.definition import PairDefinition

ENDPOINT = "10.0.0.5:443"
ANOTHER = replace(NOW, generation=2)


@dataclass(slots=True)
class Endpoint:
    """Stands in for the port ``Probe``: one endpoint, which presents one certificate.

    Args:
        sha256: fingerprint of the certificate; None if the endpoint cannot be reached.
        handshake: properties of the handshake; None if they are unknown.
        calls: number of calls.
    """

    sha256: str | None = None
    handshake: Handshake | None = None
    calls: int = 0

    def served_certificates(self, host: str, endpoints: Sequence[str]) -> tuple[ServedCertificate, ...]:
        """Return the certificate that the endpoint presents."""
        assert host
        self.calls += 1
        problem = "" if self.sha256 else "timed out"
        return tuple(
            ServedCertificate(endpoint=one, sha256=self.sha256, problem=problem, handshake=self.handshake)
            for one in endpoints
        )


@dataclass(slots=True)
class Channel:
    """An MDM server that accepts every command, and records the secret's labels at that time."""

    world: Fleet
    labels: list[set[str]] = field(default_factory=list)

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return one batch."""
        return [enrollment_ids]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept a command, and record the labels."""
        assert enrollment_ids
        assert command
        self.labels.append(set(self.world.labels))
        return ()


@dataclass(slots=True)
class Fleet(World):
    """A pair whose certificates are sent to devices, and an endpoint that presents one of these certificates."""

    endpoint: Endpoint = field(default_factory=Endpoint)
    channel: Channel = field(init=False)

    def __post_init__(self) -> None:
        """Create the service with a probe, and a delivery."""
        super(Fleet, self).__post_init__()
        self.service._probe = self.endpoint
        self.channel = Channel(self)

    def request(self, wish=None, *, known=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        """Return a request for a pair with an endpoint and a distribution."""
        found = super(Fleet, self).request(wish, known=known)
        return replace(found, endpoints=(ENDPOINT,), definition=replace(found.definition, distributed=True, devices=3))

    def send(self, result: PairResult) -> None:
        """Deliver the profile of a pair."""
        delivery = DeliveryService(lambda: self.channel, self.store, None, self.clock, report=self.reports.append)
        content = ProfileContent(
            server="berlin",
            host="mdm.example.com",
            identifier="com.example.berlin",
            organization=None,
            trusted=result.view.desired.trusted_ordinals,
            chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
        )
        delivery.deliver(
            DeliveryRequest(
                content=content,
                secret=SECRET,
                secret_arn=self.arn,
                resource_id=None,
                enrollment_ids=("device",),
            )
        )

    def is_recorded(self, *trusted: int) -> bool:
        """Return whether the secret records that devices were offered and sent these certificates."""
        found = self.store.describe(SECRET)
        assert found is not None
        return is_recorded(SECRET, found, trusted, self.clock.now())

    def run(self, wish: PairDefinition | None = None, *, known: KnownPair | None = None) -> tuple[int, ...]:
        """Run both parts, and return the ordinals of the certificates in the profile."""
        result = self.apply(wish, known=known)
        self.send(result)
        return result.view.desired.trusted_ordinals

    @property
    def offered_labels(self) -> set[str]:
        """Return the labels of offered certificates."""
        return {label for label in self.labels if label.startswith("TRUSTED-")}

    def notices(self, wish: PairDefinition | None = None) -> dict[str, str]:
        """Return the messages of the notices, by reason."""
        return {one.reason: one.message for one in self.look(wish).desired.notices}
