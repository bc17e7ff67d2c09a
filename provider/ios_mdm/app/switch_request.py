"""The request for the switch of one pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.observed import ArmedPromotion
from ios_mdm.core.pair.schedule import (
    Kind,
    alarm_schedule,
    names,
    promotion_schedule,
    queue_arn,
    queue_name,
    role_arn,
    role_name,
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
    """One pair's switch, and how it is to be made.

    Args:
        server: name of the server.
        secret: name of the pair's secret.
        secret_arn: its ARN.
        switch: what should happen.
        distributed: whether devices get the certificates in a profile. A promotion is then armed only if the secret
            records that devices were sent the reserve (R36).
        scheduled: False if no schedules are made.
        hold: whether promotions are on hold now. *switch* may be that of an earlier run.
        role_arn: the user's own role for the schedules; None for one that is made here.
        boundary_arn: permissions boundary of the role that is made here.
        dead_letter_arn: the user's own queue for what a schedule could not do; None for one that is made here.
        alarm_arn: SNS topic or SQS queue for alarms; None for no alarms.
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
        """The promotion for which a schedule should exist."""
        return self.switch.promote if self.scheduled else None

    def following(self, main_version: str) -> SwitchRequest | None:
        """Return the request after the next main took over, with the reserve at its time; None if no reserve follows.

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
        """Name of the role that is made here."""
        return role_name(self.server, self.secret, Home.of_arn(self.secret_arn).region)

    @property
    def queue_name(self) -> str:
        """Name of the queue that is made here."""
        return queue_name(self.server, self.secret)

    @property
    def trust(self) -> str:
        """The trust policy of the role that is made here, as JSON."""
        return role_trust(self.secret_arn)

    def policy(self, dead_letter: str) -> str:
        """Return the policy of the role that is made here, as JSON; *dead_letter* is the ARN of the queue."""
        return role_policy(self.secret_arn, dead_letter=dead_letter, alarm=self.alarm_arn)

    def expected_role(self) -> str:
        """Return the ARN of the role that the schedules name."""
        return self.role_arn or role_arn(self.secret_arn, self.role_name)

    def expected_dead_letter(self) -> str:
        """Return the ARN of the queue that the schedules name."""
        return self.dead_letter_arn or queue_arn(self.secret_arn, self.queue_name)

    def schedules(self, *, role: str, dead_letter: str) -> Mapping[Kind, Schedule]:
        """Return the schedules that should exist, also those whose time has passed.

        Args:
            role: ARN of the role that they act by.
            dead_letter: ARN of the queue for what they could not do.
        """
        name = names(self.server, self.secret)
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
    """Return the request for the switch of a pair that is what it should be.

    Args:
        pair: the request for the pair.
        promotion: how the switch is made.
        view: the pair, which exists.
    """
    assert view.observed is not None  # noqa: S101 - such a pair exists
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
    """Return the request for a switch that is made as *promotion* says; the other arguments as in the request."""
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
    """Return whether the secret records that devices were sent the reserve; True if there is nothing to send."""
    return request.promote is None or was_sent(request, request.promote, observed)


def was_sent(request: SwitchRequest, promote: Promote, observed: ObservedPair) -> bool:
    """Return whether the secret records that devices were sent this certificate; True if devices get no profile.

    Devices that were sent a profile need the next certificate also if the definition has no distribution any more.
    """
    return not (request.distributed or observed.was_distributed) or promote.certificate in observed.sent


def armed_promotion(promote: Promote) -> ArmedPromotion:
    """Return the record of a promotion for which a schedule is made."""
    return ArmedPromotion(certificate=promote.certificate, at=promote.at)
