"""Converts the settings of a server to the request for its pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ios_mdm.app.pair.values import PairRequest
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.pair.policies.answers import fingerprint_digits

if TYPE_CHECKING:
    from ios_mdm.app.pair.values import KnownPair
    from ios_mdm.app.recorded_offers import RecordedOffers
    from ios_mdm.settings import AwsSettings, ServerSettings

__all__ = ["PairSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """One server's settings, and the other inputs of the request for its pair.

    Args:
        server: settings of the server.
        aws: settings of AWS.
        secret: name of the pair's secret.
        owner: organization/project/stack.
        known: the pair in the state; None if the state does not have it.
        new_resource_id: id of the resource that this run creates, 32 hex digits; None if it creates none.
        distributed: whether devices get the certificates in a profile.
        devices: number of devices, for messages; None if unknown.
    """

    server: ServerSettings
    aws: AwsSettings
    secret: str
    owner: str
    known: KnownPair | None
    new_resource_id: str | None = None
    distributed: bool
    devices: int | None = None

    def request(self, recorded: RecordedOffers) -> PairRequest:
        """Return the request for the pair.

        Args:
            recorded: records of the custom certificates that the definition offers.

        Raises:
            DefinitionError: The definition offers a custom certificate that *recorded* does not have.
        """
        offered = recorded.offered_certificates
        definition = self.server.definition(main=offered.get(Slot.MAIN), reserve=offered.get(Slot.RESERVE))
        return PairRequest(
            definition=replace(definition, distributed=self.distributed, devices=self.devices),
            secret=self.secret,
            owner=self.owner,
            take_over=self.server.take_over,
            known=self.known,
            new_resource_id=self.new_resource_id,
            allowed_accounts=tuple(self.aws.allowed_account_ids),
            moved_from=self.server.moved_from,
            lost_main=None if self.server.lost_main is None else fingerprint_digits(self.server.lost_main),
            tags=self.aws.tags,
            kms_key=self.aws.kms_key,
            endpoints=self.server.checked_endpoints,
        )
