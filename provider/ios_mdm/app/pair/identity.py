"""Checks that a secret is the pair that the state contains (R33), and that this stack may change it (R34).

All checks run before the first effect of a run. An error message names both sides, and the value to set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.home import Home, PairIdentity
from ios_mdm.core.pair.layout import PAIR_ID_TAG, facts_tag, version_id
from ios_mdm.core.pair.schedule import name_stem, role_name
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import DefinitionError, IdentityError, LostPairError, OwnershipError, StoreError, TakenOverError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.app.pair.values import KnownPair, PairRequest
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = [
    "REPLACES_LOST",
    "check_address",
    "check_certificates",
    "check_copy",
    "check_home",
    "check_lost",
    "check_pair_owner",
    "lost_notice",
    "moved_notice",
    "replica_notice",
    "take_over_notice",
]

REPLACES_LOST = "replaces-lost"
"""The reason of :func:`lost_notice`."""


def check_home(request: PairRequest, observed: ObservedPair | None, actual: Callable[[], Home]) -> Home:
    """Return the home of the pair, after comparing it with the state and with the accounts that the definition allows.

    Args:
        request: request for the pair.
        observed: observed state of the pair; None if AWS reports that the secret does not exist.
        actual: returns the account and region of the credentials; called only if there is no secret.

    Raises:
        IdentityError: The credentials are for another account or region, the account is not allowed, the secret has
            another ARN or another pair, or the secret is a copy.
    """
    known = request.known
    home = Home.of_arn(observed.arn) if observed is not None else actual()
    if request.allowed_accounts and home.account not in request.allowed_accounts:
        raise IdentityError(
            f"the credentials are for account {home.account}, but aws.allowedAccountIds allows only "
            f"{', '.join(request.allowed_accounts)}: use another AWS_PROFILE"
        )
    if known is not None:
        _check_known(request, known, observed, home)
    if observed is not None and observed.identity is not None:
        check_copy(observed.identity, home, request.secret, request.moved_from)
    return home


def _check_known(request: PairRequest, known: KnownPair, observed: ObservedPair | None, home: Home) -> None:
    moved = observed is not None and _is_moved(request, known, observed)
    if home != known.home and not moved:
        former = known.arn or _arn(known.home, request.secret)
        if observed is None:
            found = f". There is no secret {request.secret} that the pair could have been moved to"
        elif _names_home(request.moved_from, known.home):
            found = f". The secret {observed.arn} does not have the id of this pair in its tag {PAIR_ID_TAG}"
        else:
            found = f". If the secret was moved, add to the server `movedFrom: {former}`"
        raise IdentityError(
            f"the pair of {request.definition.name} is in {known.home}, but the credentials in use are for {home}: "
            f"correct AWS_PROFILE, AWS_REGION or ios-mdm:aws: {{region: …}}{found}"
        )
    # In the run that replaces a lost pair, the secret has another ARN after the first effect.
    if observed is None or _is_lost(request, known):
        return
    if known.arn is not None and observed.arn != known.arn and not moved:
        if observed.identity is None and _names_secret(request.moved_from, known.arn):
            tag = PairIdentity(pair_id=known.pair_id or request.new_pair_id, home=home, secret=request.secret).text
            raise IdentityError(
                f"{observed.arn} is not the secret {known.arn} of the pair of {request.definition.name}, and has no "
                f"tag {PAIR_ID_TAG}: if it is the restored pair, set the tag to `{tag}`"
            )
        raise IdentityError(
            f"the pair of {request.definition.name} is in the secret {known.arn}, but the secret of this name is now "
            f"{observed.arn}: the secret was deleted and created again. If its content was restored there, add to the "
            f"server `movedFrom: {known.arn}`"
        )
    if known.pair_id is not None and observed.identity is not None and observed.identity.pair_id != known.pair_id:
        raise IdentityError(
            f"the pair of {request.definition.name} has the id {known.pair_id}, but the tag {PAIR_ID_TAG} of secret "
            f"{observed.arn} has the id {observed.identity.pair_id}: the tag was changed. Set the tag to "
            f"`{PairIdentity(pair_id=known.pair_id, home=home, secret=request.secret).text}`"
        )


def _is_moved(request: PairRequest, known: KnownPair, observed: ObservedPair) -> bool:
    """Return whether the definition declares that the pair was moved, and this secret has the moved pair."""
    if observed.identity is None or request.moved_from is None:
        return False
    if known.pair_id is None:
        return observed.identity.home == Home.of_arn(request.moved_from)
    is_elsewhere = Home.of_arn(observed.arn) != known.home
    is_named = _names_secret(request.moved_from, known.arn)
    is_named = is_named or (is_elsewhere and _names_home(request.moved_from, known.home))
    return is_named and observed.identity.pair_id == known.pair_id


def check_copy(identity: PairIdentity, home: Home, secret: str, moved_from: str | None) -> None:
    """Refuse a secret whose identity tag names another secret, unless the pair was moved from that secret.

    Args:
        identity: identity that the secret records.
        home: account and region of the secret.
        secret: name of the secret.
        moved_from: ARN of the secret that the pair was moved or restored from; None if it was not.

    Raises:
        IdentityError: The secret is a copy.
    """
    if (identity.home, identity.secret) == (home, secret):
        return
    if moved_from is not None and _names_home(moved_from, identity.home):
        name = moved_from.split(":secret:", 1)[1]
        # AWS adds a hyphen and six characters to the name.
        if name == identity.secret or name.startswith(f"{identity.secret}-"):
            return
    raise IdentityError(
        f"secret {secret} in {home} is a copy: by its tag {PAIR_ID_TAG}, the pair {identity.pair_id} is in the secret "
        f"{identity.secret} in {identity.home}. If the pair was moved or restored here and the other secret "
        f"is no longer used, add to the server `movedFrom: {_arn(identity.home, identity.secret)}`. Otherwise give the "
        "server another name, or delete the copy"
    )


def _arn(home: Home, secret: str) -> str:
    """Return the ARN of a secret without the characters that AWS adds to its name; `movedFrom` accepts it."""
    return f"arn:aws:secretsmanager:{home.region}:{home.account}:secret:{secret}"


def _names_secret(moved_from: str | None, arn: str | None) -> bool:
    return arn is not None and moved_from in {arn, arn.rpartition("-")[0]}


def _names_home(moved_from: str | None, home: Home) -> bool:
    return moved_from is not None and Home.of_arn(moved_from) == home


def check_lost(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse to create a pair in place of a lost one, unless the definition names the lost main (R33).

    Call :func:`check_home` before: a missing secret means a lost pair only in the home that the state has.

    Raises:
        LostPairError: The pair is lost.
    """
    known = request.known
    if known is None or observed is not None:
        return
    if _is_lost(request, known):
        return
    wrong = "" if request.lost_main is None else f"lostMain is {request.lost_main}, which was not the pair's main. "
    raise LostPairError(
        f"secret {request.secret} no longer exists in {known.home} and is not scheduled for deletion. The private keys "
        f"of main and reserve are lost with it. {wrong}If the secret can be restored from a replica or a backup, "
        f"restore it. If not, add to the server {_lost_main(known)}: `pulumi up` then creates a new pair, which no "
        "device trusts, and every device must get its management profile reinstalled"
    )


def _lost_main(known: KnownPair) -> str:
    """Return the key to add to the definition, with its value if the state has the fingerprint of main."""
    if known.main is None:
        return "`lostMain` with the `main.sha256` that `pulumi stack output servers` shows"
    return f"`lostMain: {known.main}`"


def lost_notice(request: PairRequest, observed: ObservedPair | None) -> Notice | None:
    """Return a notice if this run creates a new pair in place of a lost one; None if it does not (R33).

    Call :func:`check_lost` before.
    """
    if request.known is None or observed is not None:
        return None
    return Notice(
        reason=REPLACES_LOST,
        severity=Severity.CRITICAL,
        message=f"the pair with the main {request.lost_main} is lost, and a new pair replaces it, which no device "
        "trusts yet. Let the server present the lost main until devices have the new profile. After the server changes "
        "to the new main, a device without this profile must get its management profile reinstalled",
    )


def _is_lost(request: PairRequest, known: KnownPair) -> bool:
    """Return whether the definition declares that the main in the state is lost."""
    return request.lost_main is not None and known.main in {None, request.lost_main}


def check_certificates(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse a secret that lacks the certificates of the pair, such as a secret that was restored manually (R33).

    Without this check, the pair gets new certificates, and its profile loses those that devices trust. An interrupted
    creation has no certificate yet, and is continued.

    Raises:
        IdentityError: The secret lacks certificates of the pair.
    """
    known = request.known
    if known is None or observed is None:
        return
    if _is_lost(request, known) and not _has_id(observed, known.pair_id):
        return  # the new pair that replaces the lost one
    # Restored tags can record certificates that the secret lacks. A secret with a certificate always has a main,
    # because AWS never removes AWSCURRENT.
    is_empty = observed.main is None and not observed.is_deleted
    if is_empty or not _has_certificate(observed) or _is_main_missing(observed, known):
        raise IdentityError(_incomplete_message(request, known, observed))


def _has_certificate(observed: ObservedPair) -> bool:
    """Return whether the secret has a certificate that is or was in a slot."""
    return any(one.ordinal is not None and one.slots != {Label.STAGED} for one in observed.versions)


def _has_id(observed: ObservedPair, pair_id: str | None) -> bool:
    return observed.identity is not None and observed.identity.pair_id == pair_id


def _is_main_missing(observed: ObservedPair, known: KnownPair) -> bool:
    """Return whether the secret has another ARN than the state, and lacks the main in the state.

    A certificate with a higher number shows that the pair was changed after the state was written. The
    facts in a lost tag are compared after the tag is written again.
    """
    if known.arn in {None, observed.arn} or known.number is None:
        return False
    version = observed.version_of(known.number)
    if version is None:
        return observed.highest_ordinal <= known.number
    return version.facts is not None and known.main not in {None, version.facts.sha256}


def _incomplete_message(request: PairRequest, known: KnownPair, observed: ObservedPair) -> str:
    main, token = "its main", f"{version_id(request.secret, 1)} for certificate 1"
    if known.number is not None:
        main, token = f"its main, certificate {known.number}", version_id(request.secret, known.number)
    if known.main is not None:
        main += f" with the fingerprint {known.main}"
    return (
        f"secret {observed.arn} has the tags of the pair of {request.definition.name}, but not {main}: its content was "
        "not restored under the version id that it had. Restore the value of main with `aws secretsmanager "
        f"put-secret-value --secret-id {request.secret} --client-request-token {token} --version-stages AWSCURRENT "
        "--secret-string file://…`, then run again. If its private key is lost, delete this secret with "
        f"`--force-delete-without-recovery`, and add to the server {_lost_main(known)}"
    )


def check_pair_owner(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse to change a pair that another resource owns (R34).

    A pair has no resource if the run that created it was interrupted, or if its resource was deleted. The stack of the
    same organization, project and name continues such a pair.

    Raises:
        TakenOverError: The state has the pair, but another resource has taken it over.
        OwnershipError: The state does not have the pair, and another resource or stack owns it.
        StoreError: A read is stale: it shows the pair before the last run took it over.
    """
    if request.known is not None:
        _check_known_owner(request, request.known, observed)
        return
    if observed is None:
        if request.take_over is not None:
            raise OwnershipError(
                f"takeOver names the pair {request.take_over}, but there is no secret {request.secret} to take over: "
                "set aws.secretPrefix and the server's name to those of the pair, or remove takeOver to create a new "
                "pair"
            )
        return
    pair_id = None if observed.identity is None else observed.identity.pair_id
    if request.take_over is not None and request.take_over == pair_id:
        return
    if request.take_over is None and observed.resource_id is None and observed.owner == request.owner:
        return
    raise OwnershipError(_foreign_message(request, observed, pair_id))


def take_over_notice(request: PairRequest, observed: ObservedPair | None) -> Notice | None:
    """Return a warning if this run takes a pair over from another resource or stack; None if it does not (R34).

    A stack that has released its pair takes it over again if `takeOver` is still in its definition.
    """
    if request.known is not None or request.take_over is None or observed is None:
        return None
    if observed.resource_id is None and observed.owner in {None, request.owner}:
        return None
    holder = "a stack that is not recorded" if observed.owner is None else f"the stack {observed.owner}"
    if observed.owner == request.owner:
        holder += ", which has the same name and another state"
    return Notice(
        reason="take-over",
        severity=Severity.WARNING,
        message=f"takes over the pair {request.take_over} in secret {request.secret} from {holder}, which then no "
        "longer changes it. If this is not intended, remove takeOver now. Otherwise remove it after this run",
    )


def moved_notice(request: PairRequest, home: Home) -> Notice | None:
    """Return a warning about the switch in the former account or region of a pair; None if the pair was not moved.

    The credentials in use cannot delete this switch. Its schedule moves labels of the former secret only.
    """
    known = request.known
    if known is None or known.home == home:
        return None
    name = request.definition.name
    schedules, role = name_stem(name, request.secret), role_name(name, request.secret, known.home.region)
    return Notice(
        reason="moved",
        severity=Severity.WARNING,
        message=f"the pair is now in {home}, and its former switch in {known.home} is not changed. After the former "
        f"secret is deleted, delete the schedules and the queue {schedules}-* and the role {role} there",
    )


def replica_notice(request: PairRequest, observed: ObservedPair | None) -> Notice | None:
    """Return a warning if the secret is a replica, which AWS refuses to change; None if it is not."""
    if observed is None or observed.primary_region is None:
        return None
    region = Home.of_arn(observed.arn).region
    return Notice(
        reason="replica",
        severity=Severity.WARNING,
        message=f"secret {request.secret} in region {region} is a replica of the secret in {observed.primary_region}, "
        "and AWS refuses to change a replica. If the pair moves here, promote the replica first: `aws secretsmanager "
        f"stop-replication-to-replica --region {region} --secret-id {request.secret}`",
    )


def _check_known_owner(request: PairRequest, known: KnownPair, observed: ObservedPair | None) -> None:
    if observed is None:
        return
    names = {None, request.owner, known.owner}
    if observed.resource_id is not None and observed.resource_id == known.former_resource_id:
        # The id of a resource is never used again, so this read is stale. If the run recorded this id as that of its
        # resource, the stack would lose the pair.
        raise StoreError(
            f"secret {request.secret}: AWS still shows the pair as it was before this stack took it over: run again"
        )
    if observed.resource_id is None and known.arn is not None and observed.owner in names:
        return  # the tag was lost; check_home has compared the ARN
    if observed.resource_id is not None and known.resource_id is not None:
        is_ours = observed.resource_id == known.resource_id
    else:
        # One of the ids is unknown, so the names of the stacks are compared.
        is_ours = observed.owner in names
        if observed.main is not None and observed.main.ordinal is None:
            is_ours = is_ours and observed.identity is not None
    if not is_ours and observed.identity is None:
        raise OwnershipError(_foreign_message(request, observed, None))
    if not is_ours:
        pair_id = "" if observed.identity is None else f" {observed.identity.pair_id}"
        again = (
            ""
            if request.take_over is None
            else (
                ". takeOver has no effect while this state has the pair: to take the pair back, do this first, then "
                "declare the server with takeOver again"
            )
        )
        raise TakenOverError(
            f"the pair{pair_id} in secret {request.secret} was taken over: it belongs to the stack {observed.owner}. "
            f"The resource in this state of {request.owner} is another one, and no longer changes the pair. Set "
            "`protect: false`, run `pulumi up`, then remove the server from this stack: the pair, its switch and the "
            f"profile stay as they are{again}"
        )


def _foreign_message(request: PairRequest, observed: ObservedPair, pair_id: str | None) -> str:
    secret = request.secret
    if pair_id is None:
        new = PairIdentity(pair_id=request.new_pair_id, home=Home.of_arn(observed.arn), secret=secret)
        return (
            f"secret {secret} exists but has no tag {PAIR_ID_TAG}, which every pair has: give the server another name, "
            "or the stack another aws.secretPrefix. If the secret is the pair of this server and lost its tags, set "
            f"the tag {PAIR_ID_TAG} to `{new.text}` and add to the server `takeOver: {new.pair_id}`"
            f"{_lost_facts(observed)}"
        )
    wrong = (
        "" if request.take_over is None else f"takeOver is {request.take_over}, which is not the pair in the secret. "
    )
    holder = f"belongs to the stack {observed.owner}" if observed.owner else "has no recorded owner"
    if observed.owner == request.owner:
        this = "This stack has the same name, but its state does not have the resource that owns the pair"
    else:
        this = f"This is the stack {request.owner}"
    return (
        f"secret {secret} holds the pair {pair_id}, which {holder}. {this}. {wrong}Give the server another name, or "
        "the stack another aws.secretPrefix. To take over the pair, because it moves to this stack or the former "
        f"state is lost, add to the server `takeOver: {pair_id}`. A pair is not replaced: use neither `--replace` nor "
        "`pulumi state taint`"
    )


def _lost_facts(observed: ObservedPair) -> str:
    """Return the tags to restore before a take-over: the facts tags that certificates in slots lack; usually empty."""
    unknown = [one for one in observed.versions if one.ordinal and one.facts is None and one.slots - {Label.STAGED}]
    if not unknown:
        return ""
    tags = ", ".join(
        f"`{facts_tag(one.version_id)}` (certificate {one.ordinal}, {', '.join(sorted(one.slots))})" for one in unknown
    )
    return (
        f". Before that, restore from a replica or a backup the tags with the facts of its certificates: {tags}. "
        "A version without this tag may be from another program, and is refused. docs/storage.md explains what to do "
        "without a backup"
    )


def check_address(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse another connection address, because the certificates name the first one.

    Raises:
        DefinitionError: The pair is for another address.
    """
    if observed is None or observed.host is None or observed.host == request.definition.host:
        return
    raise DefinitionError(
        f"address: it cannot change (was {observed.host}, now {request.definition.host}), because the pair's "
        f"certificates name it. Set it back to {observed.host}, or create a new server with another name"
    )
