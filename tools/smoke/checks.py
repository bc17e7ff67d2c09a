"""The checks of a run. A check returns its observation and uses the resources of the checks before it in ``CHECKS``."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from ios_mdm.core.pair.secret import Label
from tools.smoke.account import DENIED, TAG
from tools.smoke.schedules import alarm_arrives, schedule_fires, schedules_are_accepted, stale_schedule_changes_nothing
from tools.smoke.world import UnexpectedError, World

if TYPE_CHECKING:
    from collections.abc import Callable

_WRONG_REMOVE = ("InvalidParameterException", "InvalidRequestException")
"""Error codes that mean, for the product, that another version has the label."""


def staged_on_empty(world: World) -> str:
    """Stage the first version of a secret without a value and make it main; add a reserve and a third version."""
    store, name = world.store(), world.secret
    main, reserve, other = (world.version(n) for n in (1, 2, 3))

    def create() -> bool:
        store.create(name, tags={TAG: world.run}, description="smoke", kms_key=None)
        return True

    _, seconds = world.admin.wait_for(create)
    store.put(name, main, secrets.token_hex())
    first, _ = world.admin.wait_for(lambda: world.labels().get(1))
    if Label.STAGED not in (first or ()):
        raise UnexpectedError(f"labels after the put: {world.labels()}")
    if Label.MAIN not in (first or ()):
        store.move_label(name, Label.MAIN, to=main, current=None)
    store.move_label(name, Label.STAGED, to=None, current=main)
    store.put(name, reserve, secrets.token_hex())
    store.move_label(name, Label.RESERVE, to=reserve, current=None)
    store.move_label(name, Label.STAGED, to=None, current=reserve)
    store.put(name, other, secrets.token_hex())
    # Reads can lag behind these writes, and the next checks compare with them.
    wanted = {1: [Label.MAIN], 2: [Label.RESERVE], 3: [Label.STAGED]}
    if not world.admin.wait_for(lambda: world.labels() == wanted)[0]:
        raise UnexpectedError(f"labels: {world.labels()}, expected: {wanted}")
    return f"labels after the put: {', '.join(first or ())}; the deployer's policy took effect after {seconds:.0f} s"


def wrong_remove_from(world: World) -> str:
    """Check that AWS refuses to move a label from a version that does not have it."""
    before, reserve, other = world.labels(), world.version(2), world.version(3)
    move = world.actors["deployer"].client("secretsmanager").update_secret_version_stage
    code = _code(
        lambda: move(SecretId=world.secret, VersionStage=Label.MAIN, MoveToVersionId=reserve, RemoveFromVersionId=other)
    )
    if code not in _WRONG_REMOVE or world.labels() != before:
        raise UnexpectedError(f"{code}, expected: {' or '.join(_WRONG_REMOVE)}; labels {before}, then {world.labels()}")
    return f"{code}; no label moved"


def policies(world: World) -> str:
    """Check that the policies of docs/permissions.md allow and deny the documented calls, conditions included."""
    read = {principal: actor.client("secretsmanager").get_secret_value for principal, actor in world.actors.items()}
    iam = world.actors["deployer"].client("iam")
    main, reserve = ({"SecretId": world.secret, "VersionStage": label} for label in (Label.MAIN, Label.RESERVE))
    role = {"RoleName": f"{world.prefix}-unbounded", "Path": f"/{world.prefix}/", "Tags": world.tags}
    trust = world.document("schedule-trust")
    world.admin.wait_for(lambda: world.store("previewer").version_ids(world.secret))
    world.admin.wait_for(lambda: read["status"](**reserve))
    world.admin.wait_for(lambda: read["consumer"](**main))
    denied: dict[str, Callable[[], object]] = {
        "the previewer reads main": lambda: read["previewer"](**main),
        "the consumer reads the reserve": lambda: read["consumer"](**reserve),
        "a role without the boundary": lambda: iam.create_role(AssumeRolePolicyDocument=trust, **role),
    }
    codes = {name: _code(call) for name, call in denied.items()}
    if any(code not in DENIED for code in codes.values()):
        raise UnexpectedError(json.dumps(codes))
    return f"denied: {'; '.join(codes)}"


def deleted_and_restored(world: World) -> str:
    """Delete and restore the secret, and check that values and labels are the same."""
    store = world.store()

    def content() -> dict[str, tuple[list[str], str | None]]:
        return {
            one: (sorted(found), store.read(world.secret, one)) for one, found in world.description().labels.items()
        }

    before = content()
    store.delete(world.secret, recovery_window_days=7)
    if not world.admin.wait_for(lambda: world.description().deleted_at)[0]:
        raise UnexpectedError("DescribeSecret returns no deletion date")
    store.restore(world.secret)
    is_same, seconds = world.admin.wait_for(lambda: content() == before)
    if not is_same:  # values are never shown
        raise UnexpectedError(f"values or labels differ; labels: {world.labels()}")
    return f"{len(before)} versions with the same values and labels after {seconds:.0f} s"


def customer_key(world: World) -> str:
    """Encrypt the pair with a customer-managed key, and read main as the consumer, which needs only kms:Decrypt."""
    store, new = world.store(), world.version(4)
    store.encrypt(world.secret, kms_key=world.arn("kms", f"key/{world.key}"))
    store.put(world.secret, new, secrets.token_hex())
    world.admin.wait_for(lambda: world.store("consumer").labeled_value(world.secret, Label.MAIN))
    world.admin.wait_for(lambda: world.store("status").read(world.secret, new))
    client = world.actors["deployer"].client("secretsmanager")

    def keys() -> dict[int, str]:
        listed = client.list_secret_version_ids(SecretId=world.secret)["Versions"]
        found = {one["VersionId"]: str(one.get("KmsKeyIds")) for one in listed}
        return {n: found.get(world.version(n), "") for n in range(1, 5)}

    is_encrypted, _ = world.admin.wait_for(lambda: all(world.key in keys()[n] for n in (2, 4)))
    if not is_encrypted:
        raise UnexpectedError(f"main or the new version has another key; keys by version: {keys()}")
    return f"consumer and status read; keys by version: {keys()}"


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "accepted"


CHECKS: Final[tuple[tuple[str, Callable[[World], str]], ...]] = (
    ("STAGED on an empty secret", staged_on_empty),
    ("a wrong RemoveFromVersionId is refused", wrong_remove_from),
    ("documented policies allow and deny", policies),
    ("Scheduler accepts a new role", schedules_are_accepted),
    ("a schedule fires", schedule_fires),
    ("a stale schedule changes nothing", stale_schedule_changes_nothing),
    ("an alarm arrives", alarm_arrives),
    ("delete and restore keep the values", deleted_and_restored),
    ("a customer-managed key", customer_key),
)
