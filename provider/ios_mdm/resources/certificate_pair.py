"""The resource ``CertificatePair``: one server's main and reserve certificate in Secrets Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pulumi.dynamic import Resource

from ios_mdm.resources.hooks import HookedProvider
from ios_mdm.resources.plain import certificates_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from ios_mdm.resources.plain import Wire

__all__ = ["CertificatePair", "CertificatePairProvider"]

_OUTPUTS = (
    "desired",
    "certificates",
    "applyAt",
    "pairId",
    "resourceId",
    "secretArn",
    "switch",
    "roleArn",
    "deadLetterArn",
)


class CertificatePairProvider(HookedProvider):
    """Passes calls of the engine for a pair to :class:`ios_mdm.app.reconcile.Reconciler`."""

    hooks = "ios_mdm.resources.pair_hooks"
    ids = ("pairId", "resourceId", "secretArn")
    """Names of the inputs that ``check`` adds from the observed pair. They are absent in the first run."""
    inputs = ("server", "secret", "owner", "aws", "definition", "distributed", "home", "bundles", "desired", "repairs")

    @classmethod
    def is_outdated(cls, outputs: Wire, inputs: Wire) -> bool:
        """Return whether an id or a certificate differs from the outputs, even if the names are equal (R33)."""
        if any(inputs.get(key) not in {None, outputs.get(key)} for key in cls.ids):
            return True
        shown = cast("dict[str, Wire]", outputs.get("certificates") or {})
        return inputs["observed"] != certificates_digest({name: str(one["sha256"]) for name, one in shown.items()})


class CertificatePair(Resource, module="ios-mdm", name="CertificatePair"):
    """One server's pair of certificates.

    Args:
        name: name of the resource: the server name.
        inputs: ``server``, ``secret``, ``owner``, ``aws`` and ``definition``, as ``ios_mdm.settings`` describes them;
            ``distributed`` (whether devices get the certificates in a profile); and ``fleet`` (settings of the
            distribution if messages need the number of devices, else None), which is not kept.

    Attributes:
        desired: state of the pair, known in previews: phase, main, reserve, trusted, reason, and ``nextMain`` while
            devices are sent the certificate that replaces main.
        definition: definition of the last decision. A run that leaves the pair out may have another one.
        certificates: public details and PEM by ``certificate N``.
        applyAt: apply time of the reserve, RFC 3339, UTC.
        pairId: id of the pair, 32 hex digits; known in previews of an existing pair.
        resourceId: id of this resource, 32 hex digits; known in the same previews.
        secretArn: ARN of the pair's secret; known in the same previews.
        switch: the promotion and the alarms that AWS carries out automatically.
        roleArn: ARN of the role that the schedules assume; None while nothing is scheduled.
        deadLetterArn: ARN of the queue for failed calls of the schedules; None while nothing is scheduled.
    """

    if TYPE_CHECKING:  # at run time Pulumi would compare every nested value with these types
        definition: pulumi.Output[dict[str, object]]
        desired: pulumi.Output[dict[str, object]]
        certificates: pulumi.Output[dict[str, dict[str, object]]]
        applyAt: pulumi.Output[str | None]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        pairId: pulumi.Output[str]  # noqa: N815 - the same
        resourceId: pulumi.Output[str]  # noqa: N815 - the same
        secretArn: pulumi.Output[str]  # noqa: N815 - the same
        switch: pulumi.Output[dict[str, object]]
        roleArn: pulumi.Output[str | None]  # noqa: N815 - the same
        deadLetterArn: pulumi.Output[str | None]  # noqa: N815 - the same

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(_OUTPUTS)
        super().__init__(CertificatePairProvider(), name, {**inputs, **outputs}, opts)
