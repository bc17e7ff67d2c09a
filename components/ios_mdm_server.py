"""The component of one iOS MDM server: its pair, and the profile that brings the pair's certificates to devices."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pulumi

from ios_mdm.resources.certificate_pair import CertificatePair
from ios_mdm.resources.profile_distribution import ProfileDistribution
from ios_mdm.resources.promotion import Promotion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.settings import AwsSettings, DistributionSettings, ServerSettings

__all__ = ["IosMdmServer"]

_Block = dict[str, object]


class IosMdmServer(pulumi.ComponentResource):
    """One iOS MDM server with its pair of certificates.

    Args:
        server: its settings.
        aws: where its secret is.
        opts: of the component.

    Attributes:
        summary: what R14 shows, public: phase, main, reserve, applyAt, secretArn, and the profile's figures. Not one
            output but one for each, so that a preview shows those that it knows.
    """

    summary: Mapping[str, pulumi.Input[object]]

    def __init__(self, server: ServerSettings, aws: AwsSettings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ios-mdm:index:IosMdmServer", server.name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        kept = aws.model_dump(mode="json", by_alias=True, exclude_none=True)
        secret = f"{aws.secret_prefix}/{server.name}"
        # What the user wrote and nothing else: a preview shows it back.
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
                "distributed": server.distribution is not None,
                "fleet": _fleet(server),
            },
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(protect=server.protect)),
        )
        summary: dict[str, pulumi.Input[object]] = {
            "address": server.address,
            "phase": pair.desired.apply(lambda desired: desired["phase"]),
            "reason": pair.desired.apply(lambda desired: desired["reason"]),
            "main": _shown("main", pair),
            "reserve": _shown("reserve", pair),
            "applyAt": pair.applyAt,
            "secretArn": pair.secretArn,
        }
        after: list[pulumi.Input[object]] = []
        if server.distribution is not None:
            distribution = ProfileDistribution(
                server.name,
                {
                    "server": server.name,
                    "secret": secret,
                    "host": server.host,
                    "aws": kept,
                    "distribution": _dumped(server.distribution),
                    # Known in previews; the PEMs, which only an update of the pair can change, are not.
                    "trusted": pair.desired.apply(lambda desired: desired["trusted"]),
                    "pems": pair.certificates.apply(_pems),
                    "phase": pair.desired.apply(lambda desired: desired["phase"]),
                },
                child,
            )
            summary["profile"] = {
                "identifier": server.distribution.profile.identifier,
                "sha256": distribution.profileSha256,
                "deviceCount": distribution.deviceCount,
                "revision": distribution.revision,
            }
            # Nothing is promoted by itself before the devices were sent what they need for it.
            after.append(distribution.profileSha256)
        promotion = Promotion(
            server.name,
            {
                "server": server.name,
                "secret": secret,
                "secretArn": pair.secretArn,
                "region": aws.region,
                "promotion": server.promotion.model_dump(mode="json", by_alias=True, exclude_unset=True),
                # Short, because what is here is handed on a dozen times a run: the pair shows what they stand for.
                "wish": _digest({key: definition.get(key) for key in ("main", "reserve", "warnDays")}),
                "slots": pair.desired.apply(lambda desired: f"{desired['main']}, {desired['reserve']}"),
                "switch": pair.switch,
                "after": after,
            },
            child,
        )
        summary["promotion"] = {"roleArn": promotion.roleArn, "deadLetterArn": promotion.deadLetterArn}
        self.summary = summary
        self.register_outputs({})  # the stack has them; twice would be twice in the state


def _fleet(server: ServerSettings) -> _Block | None:
    """Return the distribution whose devices a replaced main concerns; None if main is not replaced."""
    if server.distribution is None or not (server.main.install or server.main.replace_now):
        return None
    return _dumped(server.distribution)


def _dumped(distribution: DistributionSettings) -> _Block:
    return distribution.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _digest(block: _Block) -> str:
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:16]


def _shown(slot: str, pair: CertificatePair) -> pulumi.Output[_Block | None]:
    # Not Output.all: it makes an output of every nested value, twenty for each certificate.
    return pair.desired.apply(lambda desired: pair.certificates.apply(lambda found: _slot(slot, desired, found)))


def _slot(slot: str, desired: _Block, certificates: Mapping[str, _Block]) -> _Block | None:
    """Return the public details of the certificate in a slot, None for an empty slot."""
    name = str(desired[slot])
    if name not in certificates:
        return None
    return {"certificate": name, **{key: value for key, value in certificates[name].items() if key != "number"}}


def _pems(certificates: Mapping[str, _Block]) -> Mapping[str, object]:
    return {str(certificate["number"]): certificate["pem"] for certificate in certificates.values()}
