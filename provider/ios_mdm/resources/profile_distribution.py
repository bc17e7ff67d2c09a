"""The resource ``ProfileDistribution``: a pair's public certificates on every device, in a configuration profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.dynamic import Resource

from ios_mdm.resources.hooks import HookedProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

__all__ = ["ProfileDistribution", "ProfileDistributionProvider"]


class ProfileDistributionProvider(HookedProvider):
    """Translates between the engine and :class:`ios_mdm.app.reconcile.Reconciler`, for the profile."""

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
        name: of the resource: the server's.
        inputs: ``server``, ``secret`` (the pair's), ``host``, ``aws``, ``distribution``, ``trusted`` (numbers of
            certificates), ``pems`` (number to PEM chain; state keeps their digests, as ``chains``), ``pairId``.
            ``switch``, ``secretArn``, ``resourceId`` and ``promotion`` are the pair's, whose switch is armed after the
            delivery if ``isDecided``: the pair was decided from the same definition. ``phase`` leads to messages only
            and is not kept.

    Attributes:
        identifier: PayloadIdentifier of the profile; known in previews.
        profileSha256: SHA-256 of the .mobileconfig, 64 hex digits.
        deviceCount: how many devices it is for.
        revision: counts the profiles of this server.
    """

    if TYPE_CHECKING:  # as in CertificatePair
        identifier: pulumi.Output[str]
        profileSha256: pulumi.Output[str]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        deviceCount: pulumi.Output[int]  # noqa: N815 - the same
        revision: pulumi.Output[int]

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"identifier": None, "profileSha256": None, "deviceCount": None, "revision": None}
        super().__init__(ProfileDistributionProvider(), name, {**inputs, **outputs}, opts)
