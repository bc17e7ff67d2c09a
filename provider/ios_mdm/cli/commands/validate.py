"""``validate``: its options and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE
from ios_mdm.core.pair.definition import Slot

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["validate"]


@click.command(short_help="Check a custom certificate before it is installed.")
@click.argument("bundle", type=FILE, metavar="BUNDLE")
@click.option("--address", required=True, metavar="HOST", help="Host name that devices connect to.")
@click.option("--password-file", type=FILE, metavar="F", help="Holds the file's password.")
@click.option(
    "--for",
    "slot",
    type=click.Choice([str(one) for one in Slot]),
    default=str(Slot.MAIN),
    show_default=True,
    help="What the certificate is to become.",
)
@click.option("--current", type=FILE, metavar="FILE", help="PEM chain of the certificate that is main now.")
@click.option("--root", type=FILE, metavar="FILE", help="PEM of the root that it must end in; completes the chain.")
@click.option("--trust", type=FILE, multiple=True, metavar="FILE", help="PEM of certificates that complete the chain.")
@click.option("--apply-at", metavar="T", help="RFC 3339; when a reserve becomes main.")
@click.option("--at", metavar="T", help="RFC 3339; moment of judgement, now by default.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--junit", type=FILE, metavar="FILE", help="Also write a JUnit report.")
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

    BUNDLE is the certificate's PEM, PFX or P12 file.

    Exit codes: 0 valid; 1 violations; 2 cannot run.
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
