"""Checks the records of a pair's secret: its owner, and the certificates that devices were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.guard import unoffered_versions
from ios_mdm.core.pair.layout import OWNER_TAG, RESOURCE_ID_TAG, observed_pair
from ios_mdm.errors import IdentityError, TakenOverError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.core.pair.secret import SecretDescription

__all__ = ["check_owner", "is_recorded"]


def is_recorded(secret: str, found: SecretDescription, trusted: Sequence[int] | None, now: datetime) -> bool:
    """Return whether the pair's secret records that devices were offered and sent these certificates.

    Args:
        secret: name of the pair's secret.
        found: description of the secret.
        trusted: ordinals of the certificates in the profile; None if unknown: the result is then True.
        now: current time, aware UTC, whole seconds.
    """
    if trusted is None:
        return True
    observed = observed_pair(secret, found)
    return observed.sent == set(trusted) and not unoffered_versions(observed, trusted, now)


def check_owner(secret: str, arn: str, resource_id: str | None, found: SecretDescription | None) -> None:
    """Refuse to send a profile if another resource owns the pair: the profile may lack certificates that are in use.

    Args:
        secret: name of the pair's secret.
        arn: ARN of the pair's secret.
        resource_id: id of the resource that owned the pair in the last run; None if unknown.
        found: the secret of this name; None if there is none.

    Raises:
        IdentityError: The secret does not exist, or has another ARN.
        TakenOverError: Another resource has taken over the pair.
    """
    if found is None or found.arn != arn:
        other = f"there is no secret {secret}" if found is None else f"the secret of this name is {found.arn}"
        raise IdentityError(
            f"the profile is for the pair in secret {arn}, but with the credentials in use, {other}: correct "
            "AWS_PROFILE, AWS_REGION or ios-mdm:aws: {region: …}"
        )
    owner = found.tags.get(RESOURCE_ID_TAG)
    if owner is not None and resource_id is not None and owner != resource_id:
        raise TakenOverError(
            f"the pair in secret {secret} was taken over by the stack {found.tags.get(OWNER_TAG)}, which now sends its "
            "profile: this stack sends no profile"
        )
