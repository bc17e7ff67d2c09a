"""Options and help of ``profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["profile"]


@click.command(short_help="Write the profile that makes devices trust a pair.")
@click.argument("definition", type=FILE, metavar="DEFINITION.yaml")
@click.option("--server", required=True, metavar="NAME", help="Name of the server.")
@click.option(
    "--main",
    type=FILE,
    required=True,
    metavar="PEM",
    help="Chain of main including its root: certificates only, no key.",
)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="The .mobileconfig file to write.")
@click.option(
    "--pair-id",
    metavar="ID",
    help="Pair id for the end of the profile identifier. Default: the identifier ends in `.manual`.",
)
@click.option("--reserve", type=FILE, metavar="PEM", help="Chain of the reserve including its root.")
@click.option("--json", "as_json", is_flag=True, help="Print file name and SHA-256 as JSON.")
def profile(
    *,
    definition: Path,
    server: str,
    main: Path,
    output: Path,
    pair_id: str | None,
    reserve: Path | None,
    as_json: bool,
) -> None:
    """Write the profile (.mobileconfig) that makes devices trust these certificates, as `pulumi up` distributes it.

    DEFINITION.yaml is a stack file, or a list of servers. The profile identifier of a pair is the identifier in the
    definition, a dot, and the first 12 hex digits of the pair id. A device keeps profiles with different identifiers.

    Exit codes: 0 success, 2 cannot run.
    """
    from ios_mdm.cli import profile as work

    work.run(
        definition=definition,
        server=server,
        main=main,
        output=output,
        pair_id=pair_id,
        reserve=reserve,
        as_json=as_json,
    )
