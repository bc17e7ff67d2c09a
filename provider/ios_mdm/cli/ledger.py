"""``ledger``: creates the DynamoDB table of a ledger."""

from __future__ import annotations

import click

from ios_mdm import wiring
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error, print_error
from ios_mdm.cli.output import echo

__all__ = ["create"]

_DIFFERS = 1


def create(*, url: str, region: str | None) -> None:
    """Create the table, or complete it; show what was done and what differs."""
    with exit_on_error(CANNOT_RUN):
        _create(url, region)


def _create(url: str, region: str | None) -> None:
    found = wiring.process_wiring().table_creation(url, region)
    done = f"created or turned on: {', '.join(found.changes)}" if found.changes else "nothing to do"
    echo(f"{found.arn}: {done}")
    for difference in found.differences:
        print_error(f"{found.arn} differs from the template (docs/shared-ledger.md): {difference}")
    if found.differences:
        echo("Change these properties in the AWS console, or use a table with another name.", err=True)
        raise click.exceptions.Exit(_DIFFERS)
