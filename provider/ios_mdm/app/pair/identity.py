"""Whether what was observed is the pair that the state knows (R33), and whether it may be changed here (R34).

Every check here comes before the first effect of a run. A message names both sides, and the value to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.layout import OWNER_TAG
from ios_mdm.errors import DefinitionError, IdentityError, OwnershipError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.app.pair.values import PairRequest
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = ["check_address", "check_home", "check_lost", "check_ours"]

_FINGERPRINT = "the fingerprint of the lost main, which `pulumi stack output servers` shows"


def check_home(request: PairRequest, observed: ObservedPair | None, actual: Callable[[], Home]) -> Home:
    """Return the home of the pair, after comparing it with what the state knows and what the definition allows.

    Args:
        request: the pair.
        observed: as it is; None if AWS says that there is no such secret.
        actual: returns the account and region of the credentials; called only if there is no secret.

    Raises:
        IdentityError: The credentials are for another account or region, the account is not allowed, or the secret is
            another one.
    """
    known = request.known
    home = Home.of_arn(observed.arn) if observed is not None else actual()
    if request.allowed_accounts and home.account not in request.allowed_accounts:
        raise IdentityError(
            f"the credentials are for account {home.account}, and aws.allowedAccountIds allows only "
            f"{', '.join(request.allowed_accounts)}: use another AWS_PROFILE"
        )
    if known is None:
        return home
    moved = known.arn is not None and request.moved_from == known.arn
    if home != known.home and not moved and not _names_home(request.moved_from, known.home):
        raise IdentityError(
            f"the pair of {request.definition.name} is in {known.home}, and the credentials in use are for {home}: set "
            "AWS_PROFILE, AWS_REGION or ios-mdm:aws: {region: …} right. If the secret was moved, add to the server "
            f"`movedFrom: {known.arn or 'its former ARN'}`"
        )
    # In the run that replaces a lost pair, the secret is another one from the first effect on.
    accepted = moved or (request.lost_main is not None and request.lost_main == known.main)
    if observed is not None and known.arn is not None and observed.arn != known.arn and not accepted:
        raise IdentityError(
            f"the pair of {request.definition.name} is the secret {known.arn}, and {observed.arn} was found under its "
            "name: it was deleted and made again. If its content was restored there, add to the server "
            f"`movedFrom: {known.arn}`"
        )
    return home


def _names_home(moved_from: str | None, home: Home) -> bool:
    return moved_from is not None and Home.of_arn(moved_from) == home


def check_lost(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse to make another pair instead of a lost one, unless the definition names the lost main (R33).

    Call it after :func:`check_home`: that there is no secret is believed only in the home that the state knows.

    Raises:
        IdentityError: The pair is lost.
    """
    known = request.known
    if known is None or observed is not None:
        return
    if request.lost_main is not None and known.main in {None, request.lost_main}:
        return
    wrong = "" if request.lost_main is None else f"lostMain is {request.lost_main}, which was not its main. "
    raise IdentityError(
        f"secret {request.secret} is gone from {known.home}, not just scheduled for deletion, and with it the private "
        f"keys of main and reserve. {wrong}If they can be restored from a replica or a backup, restore them. If not, "
        f"add to the server `lostMain: {known.main or _FINGERPRINT}`: then `up` makes a new pair, which no device "
        "trusts yet, and every device must get its management profile reinstalled (R13)"
    )


def check_ours(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse to change a secret that belongs to another stack.

    Raises:
        OwnershipError: It does, or no stack is on record.
    """
    if observed is None:
        return
    ours = observed.owner == request.owner or request.take_over
    if not ours and observed.owner is None:
        # The owner tag was lost; that the pair is ours, Pulumi's state tells.
        ours = request.known is not None and (observed.main is None or observed.main.ordinal is not None)
    if not ours:
        holder = f"belongs to the stack {observed.owner}" if observed.owner else f"exists and has no tag {OWNER_TAG}"
        raise OwnershipError(
            f"secret {request.secret} {holder}, and this is {request.owner}: give the server another name or the stack "
            "another aws.secretPrefix, or set takeOver: true to adopt the pair"
        )


def check_address(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse another connection address: the certificates name the first one.

    Raises:
        DefinitionError: The pair is for another address.
    """
    if observed is None or observed.host is None or observed.host == request.definition.host:
        return
    raise DefinitionError(
        f"address: the pair is for {observed.host}, and its certificates name it; a changed address "
        f"({request.definition.host}) needs a new server of another name. Set it back to {observed.host}"
    )
