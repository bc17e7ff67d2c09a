"""The resource ``ProfileDistribution``: a configuration profile with a pair's public certificates on every device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.dynamic import Resource

from ios_mdm.resources.hooks import HookedProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

__all__ = ["ProfileDistribution", "ProfileDistributionProvider"]


class ProfileDistributionProvider(HookedProvider):
    """Passes calls of the engine for a profile to :class:`ios_mdm.app.reconcile.Reconciler`."""

    hooks = "ios_mdm.resources.distribution_hooks"
    inputs = (
        "server",
        "secret",
        "host",
        "aws",
        "distribution",
        "identifier",
        "trusted",
        "chains",
        "deviceCount",
        "devicesSha256",
        "revision",
        "repairs",
    )


class ProfileDistribution(Resource, module="ios-mdm", name="ProfileDistribution"):
    """The configuration profile with a pair's public certificates, on the devices of one server.

    Args:
        name: name of the resource: the server name.
        inputs: ``server``, ``secret`` (of the pair), ``host``, ``aws``, ``distribution``, ``trusted`` (numbers of
            certificates), ``pems`` (PEM chains by number; the state keeps their digests as ``chains``) and ``pairId``.
            ``switch``, ``secretArn``, ``resourceId`` and ``promotion`` are values of the pair. Its switch is armed
            after the delivery if ``isDecided``, which means that the pair was decided from the same definition.
            ``phase`` is only for messages and is not kept.

    Attributes:
        identifier: PayloadIdentifier of the profile; known in previews.
        profileSha256: SHA-256 of the .mobileconfig, 64 hex digits.
        deviceCount: number of devices that get the profile.
        revision: number of profiles of this server so far.
    """

    if TYPE_CHECKING:  # as in CertificatePair
        identifier: pulumi.Output[str]
        profileSha256: pulumi.Output[str]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        deviceCount: pulumi.Output[int]  # noqa: N815 - the same
        revision: pulumi.Output[int]

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"identifier": None, "profileSha256": None, "deviceCount": None, "revision": None}
        super().__init__(ProfileDistributionProvider(), name, {**inputs, **outputs}, opts)
