"""``python -m tools.smoke`` runs the checks. ``python -m tools.smoke clean`` deletes the resources of earlier runs."""

from __future__ import annotations

import os
import secrets
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ios_mdm.errors import IosMdmError
from tools.smoke.account import RefusedError, checked_account
from tools.smoke.checks import CHECKS
from tools.smoke.cleanup import clean
from tools.smoke.world import UnexpectedError, World, create_world

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tools.smoke.account import Account

OK, FAILED, UNUSABLE = 0, 1, 2
_LINE = "{:<38}  {:<6}  {}"


def run(account: Account) -> int:
    """Delete the resources of earlier runs, run all checks, and delete the resources of this run.

    Returns:
        0 if all checks passed, 1 if a check failed, 2 if the run could not start or a resource was not deleted.
    """
    if clean_up(account):
        return UNUSABLE
    try:
        world = create_world(account, secrets.token_hex(4))
        print(_LINE.format("check", "result", "seen"))
        print(_LINE.format("the documented roles can be assumed", "ok", f"after {world.seconds:.0f} s"))
        code = max(_result(world, name, check) for name, check in CHECKS)
    except (BotoCoreError, ClientError) as error:
        print(f"The run could not start: {error}", file=sys.stderr)
        code = UNUSABLE
    finally:
        code_of_cleanup = clean_up(account)
    return max(code, code_of_cleanup)


def clean_up(account: Account) -> int:
    """Delete the resources of all runs; return 2 if a deletion fails, else 0."""
    deleted, problems = clean(account)
    print(*(f"deleted: {name}" for name in deleted), sep="\n", end="\n" if deleted else "")
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return UNUSABLE if problems else OK


def main(arguments: Sequence[str]) -> int:
    """Run the checks, or with the argument ``clean`` only delete the resources of runs; return the exit code."""
    try:
        account = checked_account(os.environ, now=lambda: datetime.now(UTC), sleep=time.sleep)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    return clean_up(account) if list(arguments) == ["clean"] else run(account)


def _result(world: World, name: str, check: Callable[[World], str]) -> int:
    """Run a check and print its row. Later checks run even if it fails."""
    try:
        print(_LINE.format(name, "ok", check(world)), flush=True)
    except (UnexpectedError, IosMdmError, BotoCoreError, ClientError) as error:
        print(_LINE.format(name, "FAILED", error), flush=True)
        return FAILED
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
