"""Options and help of ``validate``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE, single_value
from ios_mdm.core.pair.definition import Slot

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["validate"]

_single_option = partial(click.option, multiple=True, callback=single_value)


@click.command(short_help="Check a custom certificate before it is installed.")
@click.argument("bundle", type=FILE, metavar="BUNDLE")
@click.option("--address", required=True, metavar="HOST", help="Host name that devices connect to.")
@_single_option("--password-file", type=FILE, metavar="F", help="File whose first line is the password of BUNDLE.")
@click.option(
    "--for",
    "slot",
    type=click.Choice([str(one) for one in Slot]),
    default=str(Slot.MAIN),
    show_default=True,
    help="Slot that the certificate is for.",
)
@_single_option("--current", type=FILE, metavar="FILE", help="Chain of the current main certificate.")
@_single_option("--root", type=FILE, metavar="FILE", help="Root that the chain must end in. Completes the chain.")
@click.option(
    "--trust", type=FILE, multiple=True, metavar="FILE", help="Certificates that complete the chain. Repeatable."
)
@_single_option("--apply-at", metavar="T", help="Apply time, RFC 3339. Only with --for reserve.")
@_single_option("--at", metavar="T", help="Time of the check, RFC 3339. Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_single_option("--junit", type=FILE, metavar="FILE", help="Also write a JUnit report.")
def validate(
    *,
    bundle: Path,
    address: str,
    password_file: Path | None,
    slot: str,
    current: Path | None,
    root: Path | None,
    trust: tuple[Path, ...],
    apply_at: str | None,
    at: str | None,
    as_json: bool,
    junit: Path | None,
) -> None:
    """Check a custom certificate: list every rule that it breaks, and what to do. Writes nothing to AWS.

    BUNDLE is the PEM, PFX or P12 file of the certificate.

    Exit codes: 0 valid, 1 violations, 2 cannot run.
    """
    from ios_mdm.cli import validate as work

    work.run(
        bundle=bundle,
        address=address,
        password_file=password_file,
        slot=slot,
        current=current,
        root=root,
        trust=trust,
        apply_at=apply_at,
        at=at,
        as_json=as_json,
        junit=junit,
    )
