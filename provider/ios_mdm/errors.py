"""What can go wrong, in the words of the person who has to act on it."""

from __future__ import annotations

__all__ = [
    "BatchTooLargeError",
    "DefinitionError",
    "DeliveryError",
    "IdentityError",
    "IosMdmError",
    "LabelMovedError",
    "LostPairError",
    "OwnershipError",
    "StoreError",
    "TakenOverError",
]


class IosMdmError(Exception):
    """The root of every error that the project raises on purpose: one message, what is wrong and what to do next."""


class DefinitionError(IosMdmError):
    """The definition asks for what cannot or must not be done."""


class IdentityError(IosMdmError):
    """What was found is not the pair that the state knows: another account or region, another secret, or none."""


class LostPairError(IdentityError):
    """The secret of a pair is gone from the home that the state knows, and with it the private keys (R33)."""


class OwnershipError(IosMdmError):
    """A pair belongs to another resource, or a secret of the requested name is not known to be a pair."""


class TakenOverError(OwnershipError):
    """The pair of this resource belongs to another resource now (R34)."""


class StoreError(IosMdmError):
    """AWS did not answer, refused, or holds something that we must not touch."""


class LabelMovedError(StoreError):
    """A label is not where it was when the pair was observed: somebody else moved it. Observe anew."""


class DeliveryError(IosMdmError):
    """The MDM server did not take the profile, or took it for some devices only."""


class BatchTooLargeError(DeliveryError):
    """The MDM server, or a proxy in front of it, takes no request for so many devices. Nothing was queued."""
