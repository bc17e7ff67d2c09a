"""The request for the switch of one pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.observed import ArmedPromotion
from ios_mdm.core.pair.schedule import (
    Kind,
    alarm_schedule,
    promotion_schedule,
    queue_arn,
    queue_name,
    role_arn,
    role_name,
    schedule_names,
)
from ios_mdm.core.pair.schedule_role import role_policy, role_trust
from ios_mdm.core.pair.switch import switch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.app.pair.values import PairRequest, PairView
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.core.pair.switch import Promote, Switch
    from ios_mdm.settings import PromotionSettings

__all__ = ["SwitchRequest", "armed_promotion", "is_sent", "made_switch_request", "switch_request", "was_sent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRequest:
    """The desired switch of one pair, with its settings.

    Args:
        server: name of the server.
        secret: name of the pair's secret.
        secret_arn: ARN of that secret.
        switch: promotions and alarms.
        distributed: whether devices get the certificates in a profile. A promotion is then armed only if the secret
            records that devices were sent the reserve (R36).
        scheduled: whether schedules are created.
        hold: whether promotions are on hold now. *switch* may be from an earlier run.
        role_arn: ARN of the user's role for the schedules; None if the provider creates the role.
        boundary_arn: ARN of the permissions boundary of the role that the provider creates; None for none.
        dead_letter_arn: ARN of the user's queue for failed calls; None if the provider creates the queue.
        alarm_arn: ARN of the SNS topic or SQS queue for alarms; None for no alarms.
    """

    server: str
    secret: str
    secret_arn: str
    switch: Switch
    distributed: bool
    scheduled: bool = True
    hold: bool = False
    role_arn: str | None = None
    boundary_arn: str | None = None
    dead_letter_arn: str | None = None
    alarm_arn: str | None = None

    @property
    def promote(self) -> Promote | None:
        """The promotion for which a schedule should exist; None if there is none."""
        return self.switch.promote if self.scheduled else None

    def next_request(self, main_version: str) -> SwitchRequest | None:
        """Return the request after the promotion of the next main, with the same apply time; None without a reserve.

        Args:
            main_version: version id of the new main.
        """
        promote = self.switch.promote
        if promote is None or promote.version == main_version:
            return None
        promote = replace(promote, former_version=main_version)
        return replace(self, switch=replace(self.switch, promote=promote, replace=None))

    @property
    def role_name(self) -> str:
        """Name of the role that the provider creates."""
        return role_name(self.server, self.secret, Home.of_arn(self.secret_arn).region)

    @property
    def queue_name(self) -> str:
        """Name of the queue that the provider creates."""
        return queue_name(self.server, self.secret)

    @property
    def trust(self) -> str:
        """Trust policy of the role that the provider creates, as JSON."""
        return role_trust(self.secret_arn)

    def policy(self, dead_letter: str) -> str:
        """Return the policy of the role that the provider creates, as JSON; *dead_letter* is the ARN of the queue."""
        return role_policy(self.secret_arn, dead_letter=dead_letter, alarm=self.alarm_arn)

    def expected_role(self) -> str:
        """Return the ARN of the role that the schedules name."""
        return self.role_arn or role_arn(self.secret_arn, self.role_name)

    def expected_dead_letter(self) -> str:
        """Return the ARN of the queue that the schedules name."""
        return self.dead_letter_arn or queue_arn(self.secret_arn, self.queue_name)

    def schedules(self, *, role: str, dead_letter: str) -> Mapping[Kind, Schedule]:
        """Return the schedules that should exist, including those whose time has passed.

        Args:
            role: ARN of the role of the schedules.
            dead_letter: ARN of the queue for their failed calls.
        """
        name = schedule_names(self.server, self.secret)
        found: dict[Kind, Schedule] = {}
        if self.promote is not None:
            found[Kind.PROMOTE] = promotion_schedule(
                self.promote,
                name=name[Kind.PROMOTE],
                secret_arn=self.secret_arn,
                role=role,
                dead_letter=dead_letter,
            )
        for kind, alarm in ((Kind.OVERDUE, self.switch.overdue), (Kind.EXPIRY, self.switch.expiry)):
            if alarm is not None and self.alarm_arn is not None:
                found[kind] = alarm_schedule(
                    alarm,
                    kind=kind,
                    name=name[kind],
                    server=self.server,
                    target=self.alarm_arn,
                    role=role,
                    dead_letter=dead_letter,
                )
        return found


def switch_request(pair: PairRequest, promotion: PromotionSettings, view: PairView) -> SwitchRequest:
    """Return the request for the switch of a pair in its desired state.

    Args:
        pair: request for the pair.
        promotion: settings of the switch.
        view: observed and desired state of the pair, whose secret exists.
    """
    assert view.observed is not None  # noqa: S101 - a pair in its desired state exists
    return made_switch_request(
        promotion,
        server=pair.definition.name,
        secret=pair.secret,
        secret_arn=view.observed.arn,
        switch=switch(pair.definition, view.desired, view.observed),
        distributed=pair.definition.distributed,
    )


def made_switch_request(
    promotion: PromotionSettings, *, server: str, secret: str, secret_arn: str, switch: Switch, distributed: bool
) -> SwitchRequest:
    """Return the request for a switch with the settings of *promotion*; the other arguments are as in the request."""
    return SwitchRequest(
        server=server,
        secret=secret,
        secret_arn=secret_arn,
        switch=switch,
        distributed=distributed,
        scheduled=promotion.schedule,
        hold=promotion.hold,
        role_arn=promotion.role_arn,
        boundary_arn=promotion.permissions_boundary_arn,
        dead_letter_arn=promotion.dead_letter_arn,
        alarm_arn=promotion.alarm_arn,
    )


def is_sent(request: SwitchRequest, observed: ObservedPair) -> bool:
    """Return whether the secret records that devices were sent the reserve; True if no promotion is scheduled."""
    return request.promote is None or was_sent(request, request.promote, observed)


def was_sent(request: SwitchRequest, promote: Promote, observed: ObservedPair) -> bool:
    """Return whether the secret records that devices were sent this certificate or its root; True without a profile.

    Devices that were sent a profile before need this certificate even if the definition no longer has a distribution.
    """
    return not (request.distributed or observed.was_distributed) or observed.is_sent(promote.certificate)


def armed_promotion(promote: Promote) -> ArmedPromotion:
    """Return the record of a promotion for which a schedule is made."""
    return ArmedPromotion(certificate=promote.certificate, at=promote.at)
