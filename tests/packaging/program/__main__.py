"""Declares a server with the installed package, and exports its typed outputs."""  # noqa: INP001 - a program's folder

import pulumi
from ios_mdm.components import (
    AwsSettings,
    CertificateOutput,
    ChannelSettings,
    DistributionSettings,
    IosMdmServer,
    IssueMainSettings,
    KeyType,
    MainSettings,
    NanoMdmSettings,
    ProfileSettings,
)

from components import reserve_of_each_server

server = IosMdmServer(
    "berlin",
    address="mdm.example.com",
    endpoints=[],
    main=MainSettings(issue=IssueMainSettings(key=KeyType.EC_P256)),
    reserve=reserve_of_each_server(days=30),
    distribution=DistributionSettings(
        profile=ProfileSettings(identifier="com.example.campus.trust"),
        channel=ChannelSettings(
            nanomdm=NanoMdmSettings(
                url=pulumi.Config().require("nanomdm"),
                api_key_secret="mdm/api-key",  # noqa: S106 - a name
                push=False,
            )
        ),
        devices=pulumi.Config().require_object("devices"),
        ledger="sqlite:///ledger.sqlite",
    ),
    aws=AwsSettings(secret_prefix="campus"),  # noqa: S106 - a name
)


def expiry(certificate: CertificateOutput | None) -> str | None:
    """Return the expiry of a certificate, or None without a certificate."""
    return None if certificate is None else certificate["notAfter"]


fingerprint: pulumi.Output[str] = server.main.apply(lambda main: main["sha256"])
pulumi.export("fingerprint", fingerprint)
pulumi.export("expiry", server.reserve.apply(expiry))
pulumi.export("phase", server.phase)
pulumi.export("applyAt", server.apply_at)
pulumi.export("secretArn", server.secret_arn)
pulumi.export("role", server.promotion.role_arn)
if server.profile is not None:
    pulumi.export("profile", server.profile.sha256)
