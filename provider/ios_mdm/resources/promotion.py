"""The resource ``Promotion``: the schedules by which a pair's switch happens with no process running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.dynamic import Resource

from ios_mdm.resources.hooks import HookedProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

__all__ = ["Promotion", "PromotionProvider"]


class PromotionProvider(HookedProvider):
    """Translates between the engine and :class:`ios_mdm.app.switching.SwitchService`."""

    hooks = "ios_mdm.resources.promotion_hooks"
    inputs = ("server", "secret", "secretArn", "region", "promotion", "wish", "slots", "switch", "repairs")


class Promotion(Resource, module="ios-mdm", name="Promotion"):
    """What happens to one server's pair by itself: the promotion at its apply time, and alarms when it fails.

    Args:
        name: of the resource: the server's.
        inputs: ``server``, ``secret``, ``secretArn``, ``region``, ``promotion``, ``wish`` (a digest of what the
            definition says of the pair), ``slots`` (main and reserve by name), ``switch`` (an output of the pair), and
            ``after``: what must have happened before, the distribution's outputs for example.

    Attributes:
        roleArn: of the role that the schedules act by; None while nothing is scheduled.
        deadLetterArn: of the queue for what a schedule could not do; None as above.
    """

    if TYPE_CHECKING:  # as in CertificatePair
        roleArn: pulumi.Output[str | None]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        deadLetterArn: pulumi.Output[str | None]  # noqa: N815 - the same

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"roleArn": None, "deadLetterArn": None}
        super().__init__(PromotionProvider(), name, {**inputs, **outputs}, opts)
