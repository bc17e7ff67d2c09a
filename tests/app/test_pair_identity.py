"""The identity and the owner of a pair are checked before any effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ios_mdm.app.pair.identity import check_home, check_pair_owner, moved_notice, replica_notice, take_over_notice
from ios_mdm.app.pair.values import KnownPair, PairRequest
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.definition import PairDefinition
from ios_mdm.core.pair.home import Home, PairIdentity
from ios_mdm.core.pair.observed import ObservedPair
from ios_mdm.core.pair.schedule import name_stem, role_name
from ios_mdm.errors import IdentityError, IosMdmError, OwnershipError, TakenOverError

HOME = Home(account="111122223333", region="eu-west-1")
ELSEWHERE = Home(account="111122223333", region="eu-central-1")
SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
PAIR, OTHER_PAIR = "5a" * 16, "6b" * 16
RESOURCE, OTHER_RESOURCE = "7c" * 16, "8d" * 16
OWNER = "organization/ios-mdm/demo"


def arn(home: Home = HOME, secret: str = SECRET, suffix: str = "a1b2c3") -> str:
    """Return the ARN of a secret."""
    return f"arn:aws:secretsmanager:{home.region}:{home.account}:secret:{secret}-{suffix}"


KNOWN = KnownPair(home=HOME, arn=arn(), main="ab" * 32, owner=OWNER, pair_id=PAIR, resource_id=RESOURCE)
FIRST = KnownPair(home=HOME, owner=OWNER)
"""The pair as the state has it, for `check` before a second run."""
REQUEST = PairRequest(
    definition=PairDefinition(name="berlin", host="mdm.example.com"),
    secret=SECRET,
    owner=OWNER,
    tags={},
    new_pair_id="9e" * 16,
)
OBSERVED = ObservedPair(
    owner=OWNER,
    arn=arn(),
    identity=PairIdentity(pair_id=PAIR, home=HOME, secret=SECRET),
    resource_id=RESOURCE,
)
FOREIGN = replace(OBSERVED, owner="organization/ios-mdm/other", resource_id=OTHER_RESOURCE)


def check_identity(request: PairRequest, observed: ObservedPair | None, home: Home = HOME) -> None:
    """Run the checks in the order of a run."""
    check_home(request, observed, lambda: home)
    check_pair_owner(request, observed)


@pytest.mark.parametrize(
    ("request_", "observed"),
    [
        (replace(REQUEST, known=KNOWN), OBSERVED),
        (replace(REQUEST, known=KNOWN), replace(OBSERVED, owner=None, identity=None, resource_id=None)),
        (replace(REQUEST, known=KNOWN, owner="organization/ios-mdm/renamed"), OBSERVED),
        (replace(REQUEST, known=FIRST), OBSERVED),
        (replace(REQUEST, known=FIRST, owner="organization/ios-mdm/renamed"), OBSERVED),
        (REQUEST, None),
        (REQUEST, replace(OBSERVED, resource_id=None)),
        (replace(REQUEST, take_over=PAIR), FOREIGN),
        (replace(REQUEST, take_over=PAIR), OBSERVED),
        (replace(REQUEST, known=KNOWN, take_over=OTHER_PAIR), OBSERVED),
    ],
    ids=[
        "its own",
        "its own, with lost tags",
        "a renamed stack",
        "its own, before the state has the ids",
        "a renamed stack, before the state has the ids",
        "a new pair",
        "a pair without a resource, after a run that died or a destroy",
        "a pair that is taken over",
        "a pair whose state was lost",
        "its own, with a takeOver that is not needed",
    ],
)
def test_a_legitimate_request_is_accepted(request_: PairRequest, observed: ObservedPair | None) -> None:
    """The pair may be changed."""  # R33 R34
    check_identity(request_, observed)


@pytest.mark.parametrize(
    ("request_", "observed", "error", "message"),
    [
        (REQUEST, OBSERVED, OwnershipError, f"add to the server `takeOver: {PAIR}`"),
        (REQUEST, FOREIGN, OwnershipError, f"add to the server `takeOver: {PAIR}`"),
        (REQUEST, replace(FOREIGN, resource_id=None), OwnershipError, f"add to the server `takeOver: {PAIR}`"),
        (replace(REQUEST, take_over=OTHER_PAIR), FOREIGN, OwnershipError, "not the pair in the secret"),
        (replace(REQUEST, take_over=OTHER_PAIR), replace(OBSERVED, resource_id=None), OwnershipError, "not the pair"),
        (replace(REQUEST, take_over=PAIR), None, OwnershipError, "there is no secret ios-mdm/berlin to take over"),
        (REQUEST, ObservedPair(arn=arn()), OwnershipError, f"add to the server `takeOver: {'9e' * 16}`"),
        (replace(REQUEST, known=KNOWN), FOREIGN, TakenOverError, "was taken over"),
        (replace(REQUEST, known=KNOWN), replace(OBSERVED, resource_id=OTHER_RESOURCE), TakenOverError, "taken over"),
        (replace(REQUEST, known=KNOWN, take_over=PAIR), FOREIGN, TakenOverError, "was taken over"),
        (replace(REQUEST, known=FIRST), FOREIGN, TakenOverError, "was taken over"),
        (replace(REQUEST, known=KNOWN), replace(FOREIGN, resource_id=None), TakenOverError, "was taken over"),
    ],
    ids=[
        "a state that was lost, or another backend",
        "another stack's",
        "another stack's, of a dead run",
        "takeOver of another pair",
        "takeOver of another pair than the released one",
        "takeOver of a missing secret",
        "a secret that is not a pair",
        "taken over by another stack",
        "taken over by a stack of the same name",
        "taken over, with a takeOver that was left in the definition",
        "taken over, before the state has the ids",
        "taken over and released by another stack",
    ],
)
def test_a_pair_of_another_resource_is_refused(
    request_: PairRequest, observed: ObservedPair | None, error: type[IosMdmError], message: str
) -> None:
    """The message has the value for takeOver, or what is wrong with it."""  # R34
    with pytest.raises(error, match=message):
        check_identity(request_, observed)


@pytest.mark.parametrize(
    ("request_", "observed", "message"),
    [
        (replace(REQUEST, take_over=PAIR), FOREIGN, "from the stack organization/ios-mdm/other, which then no longer"),
        (
            replace(REQUEST, take_over=PAIR),
            replace(FOREIGN, resource_id=None),
            "from the stack organization/ios-mdm/ot",
        ),
        (replace(REQUEST, take_over=PAIR), OBSERVED, f"from the stack {OWNER}, which has the same name"),
        (replace(REQUEST, take_over=PAIR), replace(OBSERVED, resource_id=None), None),
        (replace(REQUEST, take_over=PAIR, known=KNOWN), OBSERVED, None),
        (REQUEST, replace(OBSERVED, resource_id=None), None),
    ],
    ids=["another stack's", "another stack's, of a dead run", "of a lost state", "released", "its own", "no takeOver"],
)
def test_a_take_over_is_a_warning(request_: PairRequest, observed: ObservedPair, message: str | None) -> None:
    """If `takeOver` stays in the definition, the pair is taken over again. The preview shows that."""  # R34
    notice = take_over_notice(request_, observed)
    if message is None:
        assert notice is None
    else:
        assert notice is not None
        assert notice.severity is Severity.WARNING
        assert f"takes over the pair {PAIR}" in notice.message
        assert message in notice.message


def test_a_take_over_of_a_pair_in_the_state_has_no_effect() -> None:
    """The message has the remedy: first remove the server from the stack of this state."""  # R34
    with pytest.raises(TakenOverError, match="takeOver has no effect while this state has the pair"):
        check_identity(replace(REQUEST, known=KNOWN, take_over=PAIR), FOREIGN)


COPY = replace(OBSERVED, arn=arn(secret="ios-mdm/copy"))  # noqa: S106 - a name
OTHER_IDENTITY = PairIdentity(pair_id=OTHER_PAIR, home=ELSEWHERE, secret=SECRET)
REPLICA = replace(OBSERVED, arn=arn(ELSEWHERE))


@pytest.mark.parametrize("known", [None, KNOWN])
def test_a_copied_secret_is_refused(known: KnownPair | None) -> None:
    """The tag names the secret of the pair. A copy with another name is not the pair."""  # R33
    request = replace(REQUEST, known=known, secret="ios-mdm/copy", take_over=PAIR)  # noqa: S106 - a name
    with pytest.raises(IdentityError):
        check_identity(request, COPY)


@pytest.mark.parametrize(
    ("moved_from", "is_accepted"),
    [
        (None, False),
        (arn(), True),
        (arn(suffix="")[:-1], True),
        (arn(secret="ios-mdm/berlin2"), False),  # noqa: S106 - a name
        (arn(Home(account="999900001111", region="eu-west-1")), False),
    ],
    ids=["nothing", "its ARN", "its ARN without the suffix", "another secret", "another account"],
)
@pytest.mark.parametrize("known", [None, KNOWN])
def test_a_replica_is_accepted_if_the_definition_names_the_former_secret(
    moved_from: str | None, known: KnownPair | None, *, is_accepted: bool
) -> None:
    """Disaster recovery: the same pair in another region, with or without the former state."""  # R33
    request = replace(REQUEST, known=known, take_over=None if known else PAIR, moved_from=moved_from)
    if is_accepted:
        check_identity(request, REPLICA, ELSEWHERE)
    else:
        with pytest.raises(IdentityError, match="movedFrom"):
            check_identity(request, REPLICA, ELSEWHERE)


@pytest.mark.parametrize(("known", "value"), [(KNOWN, arn()), (FIRST, arn().rpartition("-")[0])])
def test_the_message_names_the_former_secret(known: KnownPair, value: str) -> None:
    """This works before the state has the ARN, too. With this value, the pair is accepted in another region."""  # R33
    moved = replace(OBSERVED, arn=arn(ELSEWHERE))
    with pytest.raises(IdentityError, match=f"`movedFrom: {value}`"):
        check_identity(replace(REQUEST, known=known), moved)
    check_identity(replace(REQUEST, known=known, moved_from=value), moved)


@pytest.mark.parametrize("known", [KNOWN, FIRST])
@pytest.mark.parametrize(
    "observed",
    [None, replace(REPLICA, identity=None), replace(REPLICA, identity=OTHER_IDENTITY)],
    ids=["no secret", "a secret without an id", "another pair"],
)
def test_a_former_move_accepts_no_other_home(known: KnownPair, observed: ObservedPair | None) -> None:
    """`movedFrom` that stays in the definition names the home of the pair, but the credentials are for another one."""
    # R33
    request = replace(REQUEST, known=known, moved_from=arn(suffix="d4e5f6"), lost_main=known.main)
    for one in (request, replace(request, lost_main=None)):
        with pytest.raises(IdentityError, match="the credentials in use are for"):
            check_identity(one, observed, ELSEWHERE)


def test_a_moved_pair_names_the_switch_that_it_leaves() -> None:
    """The credentials are not for the former region, so the user must delete the former switch."""  # R36
    request = replace(REQUEST, known=KNOWN)
    assert moved_notice(request, HOME) is None
    assert moved_notice(replace(REQUEST, known=None), ELSEWHERE) is None
    notice = moved_notice(request, ELSEWHERE)
    assert notice is not None
    assert notice.severity is Severity.WARNING
    for name in ("eu-west-1", f"{name_stem('berlin', SECRET)}-*", role_name("berlin", SECRET, "eu-west-1")):
        assert name in notice.message


def test_a_replica_is_a_warning_that_gives_the_command() -> None:
    """AWS refuses to change a replica. The secret that is replicated has no warning."""  # R33
    notice = replica_notice(REQUEST, replace(REPLICA, primary_region="eu-west-1"))
    assert notice is not None
    assert notice.severity is Severity.WARNING
    assert f"--region eu-central-1 --secret-id {SECRET}`" in notice.message
    assert replica_notice(REQUEST, OBSERVED) is None
    assert replica_notice(REQUEST, None) is None


def test_a_restored_secret_without_its_id_is_refused() -> None:
    """The message has the tag to write, with the id in the state."""  # R33
    restored = replace(OBSERVED, arn=arn(suffix="d4e5f6"), identity=None, resource_id=None)
    request = replace(REQUEST, known=KNOWN, moved_from=arn())
    with pytest.raises(IdentityError, match=f"set the tag to `{PAIR} 111122223333:eu-west-1:ios-mdm/berlin`"):
        check_identity(request, restored)
    check_identity(request, replace(restored, identity=OBSERVED.identity))


def test_a_changed_pair_id_is_refused() -> None:
    """The message has the tag to write."""  # R33
    changed = replace(OBSERVED, identity=PairIdentity(pair_id=OTHER_PAIR, home=HOME, secret=SECRET))
    with pytest.raises(IdentityError, match=f"Set the tag to `{PAIR} 111122223333:eu-west-1:ios-mdm/berlin`"):
        check_identity(replace(REQUEST, known=KNOWN), changed)


def test_a_new_pair_in_the_place_of_a_lost_one_has_another_id() -> None:
    """`lostMain` is also accepted in the runs after an interrupted one."""  # R33
    lost = replace(REQUEST, known=KNOWN, lost_main=KNOWN.main)
    made = replace(
        OBSERVED,
        arn=arn(suffix="d4e5f6"),
        identity=PairIdentity(pair_id=OTHER_PAIR, home=HOME, secret=SECRET),
        resource_id=None,
    )
    check_identity(lost, None)
    check_identity(lost, made)
    assert lost.setting(None, HOME).identity == PairIdentity(pair_id="9e" * 16, home=HOME, secret=SECRET)
    assert lost.setting(made, HOME).identity == made.identity
    with pytest.raises(IdentityError):
        check_identity(replace(lost, lost_main=None), made)


def test_lost_records_are_written_as_the_state_knows_them() -> None:
    """Tags that a secret with the recorded ARN lacks are drift."""  # R33
    bare = replace(OBSERVED, identity=None, resource_id=None)
    setting = replace(REQUEST, known=KNOWN).setting(bare, HOME)
    assert setting.identity == OBSERVED.identity
    assert setting.resource_id == RESOURCE
