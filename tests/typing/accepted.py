"""Uses of the public API that type checkers accept, and the inferred types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import pulumi

from components import (
    ApplySettings,
    AwsSettings,
    CertificateOutput,
    ChannelSettings,
    DevicesSettings,
    DirectorySettings,
    DistributionSettings,
    InstallReserveSettings,
    IosMdmServer,
    IssueMainSettings,
    IssueReserveSettings,
    KeyType,
    MainSettings,
    NanoMdmSettings,
    ProfileOutputs,
    ProfileSettings,
    PromotionOutputs,
    PromotionSettings,
    ReserveSettings,
    ServerArguments,
    When,
    load_settings,
    server_arguments,
)
from ios_mdm.settings import ServerSettings, StackSettings


def arguments() -> IosMdmServer:
    """Pass every argument of the component, with values of its type."""
    return IosMdmServer(
        "berlin",
        address="mdm.example.com:8443",
        main=MainSettings(issue=IssueMainSettings(key=KeyType.EC_P256, validity_days=90), replace_now=False),
        reserve=ReserveSettings(issue=IssueReserveSettings(when=When.AUTO, apply=ApplySettings(after_days=30))),
        promotion=PromotionSettings(lead_minutes=60, hold=True),
        distribution=DistributionSettings(
            profile=ProfileSettings(identifier="com.example.trust"),
            channel=ChannelSettings(nanomdm=NanoMdmSettings(url="https://mdm.example.com", api_key_secret="mdm/key")),  # noqa: S106 - a name
            devices=DevicesSettings(file="devices.txt"),
        ),
        endpoints=("10.0.0.5:443",),
        warn_days=14,
        protect=True,
        take_over="0" * 32,
        moved_from=None,
        lost_main=None,
        distrust=[],
        aws=AwsSettings(kms_key="alias/mdm"),
        opts=pulumi.ResourceOptions(protect=True),
    )


def other_sources() -> tuple[ReserveSettings, ReserveSettings, DevicesSettings]:
    """Return a custom reserve, no reserve, and devices from the ledger."""
    return (
        ReserveSettings(install=InstallReserveSettings(bundle="next.p12", password_env="PASSWORD")),  # noqa: S106 - a name
        ReserveSettings(none=True),
        DevicesSettings(ledger=True),
    )


def files() -> DistributionSettings:
    """Return a distribution through files, which has no devices."""
    return DistributionSettings(
        profile=ProfileSettings(identifier="com.example.trust"),
        channel=ChannelSettings(directory=DirectorySettings(path="s3://profiles/berlin", distributed="0" * 64)),
    )


def outputs(server: IosMdmServer) -> None:
    """Read every output. Programs know without a cast which outputs can be None."""
    assert_type(server.address, str)
    assert_type(server.phase, pulumi.Output[str])
    assert_type(server.reason, pulumi.Output[str])
    assert_type(server.main, pulumi.Output[CertificateOutput])
    assert_type(server.reserve, pulumi.Output[CertificateOutput | None])
    assert_type(server.apply_at, pulumi.Output[str | None])
    assert_type(server.pair_id, pulumi.Output[str])
    assert_type(server.secret_arn, pulumi.Output[str])
    assert_type(server.profile, ProfileOutputs | None)
    assert_type(server.promotion, PromotionOutputs)
    assert_type(server.summary, Mapping[str, pulumi.Input[object]])


def groups(profile: ProfileOutputs, promotion: PromotionOutputs, certificate: CertificateOutput) -> None:
    """Read the values in the grouped outputs."""
    assert_type(profile.identifier, pulumi.Output[str])
    assert_type(profile.sha256, pulumi.Output[str])
    assert_type(profile.device_count, pulumi.Output[int])
    assert_type(profile.revision, pulumi.Output[int])
    assert_type(promotion.role_arn, pulumi.Output[str | None])
    assert_type(promotion.dead_letter_arn, pulumi.Output[str | None])
    assert_type(certificate["sans"], list[str])
    assert_type(certificate["notAfter"], str)


def fingerprint(server: IosMdmServer) -> pulumi.Output[str]:
    """`apply` keeps the type."""
    return server.main.apply(lambda main: assert_type(main, CertificateOutput)["sha256"])


def declare_servers(config: pulumi.Config) -> None:
    """Create servers from the stack's configuration."""
    settings = load_settings(config)
    assert_type(settings, StackSettings)
    for server in settings.servers:
        assert_type(server, ServerSettings)
        assert_type(server_arguments(server), ServerArguments)
        IosMdmServer(server.name, aws=settings.aws, **server_arguments(server))
