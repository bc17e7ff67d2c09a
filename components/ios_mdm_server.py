"""The component of one iOS MDM server: its pair, and the profile that distributes the pair's certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pulumi

from ios_mdm.resources.certificate_pair import CertificatePair
from ios_mdm.resources.profile_distribution import ProfileDistribution
from ios_mdm.settings.parsing import parse_arguments

from .outputs import CertificateOutput, ProfileOutputs, PromotionOutputs
from .readings import read_together
from .stack_traces import short_stack_traces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.settings import AwsSettings, DistributionSettings, PromotionSettings, ServerSettings
    from ios_mdm.settings.certificates import MainSettings, ReserveSettings

__all__ = ["IosMdmServer"]

_Block = dict[str, object]


class IosMdmServer(pulumi.ComponentResource):
    """One iOS MDM server with its pair of certificates.

    ``docs/definition.md`` describes the arguments and their defaults. None means that an argument is not given.

    Args:
        name: name of the server, unique in the stack.
        address: connection address: host name with an optional port.
        main: issue or install settings of the main certificate.
        reserve: issue or install settings of the reserve, and its apply time.
        promotion: settings of the switch.
        distribution: devices that get the certificates, and the MDM server that sends them.
        endpoints: endpoints whose certificate `up` checks; default the address, empty for no check.
        warn_days: days before main's expiry from which a missing reserve is critical; default a sixth of main's
            validity, at most 30 days.
        protect: whether the engine refuses to delete the pair.
        take_over: id of a pair to take over from another resource, 32 hex digits.
        moved_from: ARN of the secret that the pair was moved or restored from.
        lost_main: SHA-256 fingerprint of the main of a lost pair, which is replaced with a new pair.
        distrust: SHA-256 fingerprints of certificates that devices must no longer trust.
        aws: settings of the secret of the pair.
        opts: options of the component.

    Raises:
        DefinitionError: The arguments are invalid; one line for each problem.

    Attributes:
        address: connection address, normalized.
        phase: phase in the life of the pair, known in previews.
        reason: reason of the phase in a sentence, known in previews.
        main: details of the main certificate.
        reserve: details of the reserve; None if there is no reserve.
        apply_at: apply time of the reserve, RFC 3339 in UTC; None if there is no reserve.
        pair_id: id of the pair, 32 hex digits.
        secret_arn: ARN of the secret of the pair.
        profile: configuration profile; None if it is not distributed.
        promotion: role and queue of the schedules.
        summary: all outputs with the keys of ``docs/outputs.md``, for an export. Each value is a separate output, so
            that a preview shows the known values.
    """

    if TYPE_CHECKING:  # at run time, Pulumi evaluates annotations for each server
        address: str
        phase: pulumi.Output[str]
        reason: pulumi.Output[str]
        main: pulumi.Output[CertificateOutput]
        reserve: pulumi.Output[CertificateOutput | None]
        apply_at: pulumi.Output[str | None]
        pair_id: pulumi.Output[str]
        secret_arn: pulumi.Output[str]
        profile: ProfileOutputs | None
        promotion: PromotionOutputs
        summary: Mapping[str, pulumi.Input[object]]

    def __init__(
        self,
        name: str,
        *,
        address: str,
        main: MainSettings | None = None,
        reserve: ReserveSettings | None = None,
        promotion: PromotionSettings | None = None,
        distribution: DistributionSettings | None = None,
        endpoints: Sequence[str] | None = None,
        warn_days: int | None = None,
        protect: bool | None = None,
        take_over: str | None = None,
        moved_from: str | None = None,
        lost_main: str | None = None,
        distrust: Sequence[str] | None = None,
        aws: AwsSettings | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        arguments = {
            "address": address,
            "main": main,
            "reserve": reserve,
            "promotion": promotion,
            "distribution": distribution,
            # A string is a sequence of strings, too. It is passed on unchanged, so that the settings refuse it.
            "endpoints": endpoints if endpoints is None or isinstance(endpoints, str) else list(endpoints),
            "warn_days": warn_days,
            "protect": protect,
            "take_over": take_over,
            "moved_from": moved_from,
            "lost_main": lost_main,
            "distrust": distrust if distrust is None or isinstance(distrust, str) else list(distrust),
        }
        given = {argument: value for argument, value in arguments.items() if value is not None}
        server, settings = parse_arguments(name, given, aws)
        with short_stack_traces():
            super().__init__("ios-mdm:index:IosMdmServer", name, None, opts)
            self._declare(server, settings)
        # The component registers no outputs. The engine would write the state of the whole stack again for each new
        # server, and store values again that the state of the pair has.

    def _declare(self, server: ServerSettings, aws: AwsSettings) -> None:
        """Declare the resources of the server, and set the outputs."""
        child = pulumi.ResourceOptions(parent=self, protect=server.protect)
        secret = aws.secret_name(server.name)
        run = read_together(server, aws)
        # Only the settings that the user wrote, because a preview shows them.
        kept = aws.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        definition = server.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude={"distribution", "protect"}
        )
        pair = CertificatePair(
            server.name,
            {
                "server": server.name,
                "secret": secret,
                "owner": f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}",
                "aws": kept,
                "definition": definition,
                "distributed": None if server.distribution is None else True,
                "fleet": _fleet(server),
                **run,
            },
            child,
        )
        self.address = server.address
        self.phase = _desired_output("phase", pair)
        self.reason = _desired_output("reason", pair)
        self.main = cast("pulumi.Output[CertificateOutput]", _certificate_output("main", pair))  # a pair always has one
        self.reserve = _certificate_output("reserve", pair)
        self.apply_at = pair.applyAt
        self.pair_id = pair.pairId
        self.secret_arn = pair.secretArn
        self.profile = None
        if server.distribution is not None:
            distribution = ProfileDistribution(
                server.name,
                {
                    "server": server.name,
                    "secret": secret,
                    "host": server.host,
                    "aws": kept,
                    "distribution": _distribution_block(server.distribution),
                    # Known in previews, unlike the PEMs, which change only when the pair is updated.
                    "trusted": pair.desired.apply(lambda desired: desired["trusted"]),
                    "pems": pair.certificates.apply(_pems),
                    "phase": self.phase,
                    "run": run["run"],
                    # Not compared with the last run, because the pair arms certificates that were sent in earlier runs.
                    "switch": pair.switch,
                    # If a run excludes the pair, the switch was decided from another definition.
                    "isDecided": pair.definition.apply(lambda decided: _plain(decided) == _plain(definition)),
                    "pairId": pair.pairId,
                    "resourceId": pair.resourceId,
                    "secretArn": pair.secretArn,
                    "promotion": server.promotion.model_dump(mode="json", by_alias=True, exclude_unset=True),
                },
                child,
            )
            self.profile = ProfileOutputs(
                identifier=distribution.identifier,
                sha256=distribution.profileSha256,
                device_count=distribution.deviceCount,
                revision=distribution.revision,
            )
        self.promotion = PromotionOutputs(role_arn=pair.roleArn, dead_letter_arn=pair.deadLetterArn)
        self.summary = self._summary()

    def _summary(self) -> Mapping[str, pulumi.Input[object]]:
        summary: dict[str, pulumi.Input[object]] = {
            "address": self.address,
            "phase": self.phase,
            "reason": self.reason,
            "main": self.main,
            "reserve": self.reserve,
            "applyAt": self.apply_at,
            "pairId": self.pair_id,
            "secretArn": self.secret_arn,
        }
        if self.profile is not None:
            summary["profile"] = {
                "identifier": self.profile.identifier,
                "sha256": self.profile.sha256,
                "deviceCount": self.profile.device_count,
                "revision": self.profile.revision,
            }
        summary["promotion"] = {
            "roleArn": self.promotion.role_arn,
            "deadLetterArn": self.promotion.dead_letter_arn,
        }
        return summary


def _fleet(server: ServerSettings) -> _Block | None:
    """Return the distribution if a message may have to name its devices, else None.

    These messages are about a replaced or distrusted certificate, or a lost pair.
    """
    is_counted = server.main.install or server.main.replace_now or server.distrust or server.lost_main
    if server.distribution is None or not is_counted:
        return None
    return _distribution_block(server.distribution)


def _distribution_block(distribution: DistributionSettings) -> _Block:
    return distribution.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _plain(value: object) -> object:
    """Return a definition as the engine returns it: without null values, and with whole numbers as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


def _desired_output(key: str, pair: CertificatePair) -> pulumi.Output[str]:
    return pair.desired.apply(lambda desired: cast("str", desired[key]))


def _certificate_output(slot: str, pair: CertificatePair) -> pulumi.Output[CertificateOutput | None]:
    # Output.all creates an output for every nested value, twenty for each certificate.
    return pair.desired.apply(lambda desired: pair.certificates.apply(lambda found: _slot(slot, desired, found)))


def _slot(slot: str, desired: _Block, certificates: Mapping[str, _Block]) -> CertificateOutput | None:
    """Return the public details of the certificate in a slot, or None if the slot is empty."""
    name = str(desired[slot])
    if name not in certificates:
        return None
    shown = {key: value for key, value in certificates[name].items() if key != "number"}
    return cast("CertificateOutput", {"certificate": name, **shown})


def _pems(certificates: Mapping[str, _Block]) -> Mapping[str, object]:
    # The engine passes whole numbers as floats.
    return {str(int(cast("float", one["number"]))): one["pem"] for one in certificates.values()}
