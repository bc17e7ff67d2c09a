"""The errors that the project raises on purpose. Their messages are written for users."""

from __future__ import annotations

__all__ = [
    "BatchTooLargeError",
    "DefinitionError",
    "DeliveryError",
    "IdentityError",
    "InterpreterError",
    "IosMdmError",
    "LabelMovedError",
    "LostPairError",
    "OwnershipError",
    "StoreError",
    "TakenOverError",
    "WatchError",
]


class IosMdmError(Exception):
    """Base class. The message says what is wrong, where, and what to do."""


class DefinitionError(IosMdmError):
    """The definition is invalid, or requests something that is impossible or forbidden."""


class IdentityError(IosMdmError):
    """The found pair is not the pair in the state: the account, the region or the secret differs, or it is missing."""


class LostPairError(IdentityError):
    """The secret of a pair with its private keys no longer exists in the account and region of the state (R33)."""


class OwnershipError(IosMdmError):
    """A pair belongs to another resource, or a secret of the requested name is not known to be a pair."""


class TakenOverError(OwnershipError):
    """Another resource has taken over the pair of this resource (R34)."""


class StoreError(IosMdmError):
    """AWS did not answer, refused a call, or holds something that must not be changed."""


class LabelMovedError(StoreError):
    """A label was moved concurrently, after the pair was observed. Observe the pair again."""


class DeliveryError(IosMdmError):
    """The MDM server did not accept the profile, or accepted it for some devices only."""


class BatchTooLargeError(DeliveryError):
    """The MDM server or its proxy does not accept a request for so many devices. Nothing was queued."""


class WatchError(IosMdmError):
    """The source of a watched certificate did not return a certificate that can be read."""


class InterpreterError(IosMdmError):
    """The Python interpreter cannot start the process that reads encrypted files."""
