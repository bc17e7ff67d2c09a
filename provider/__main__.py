"""``python -m provider``: what a person or a monitoring system asks beside ``pulumi``."""

from __future__ import annotations

import typer

from provider.cli.consume import consume
from provider.cli.exits import StatusCommand
from provider.cli.forecast import forecast
from provider.cli.profile import profile
from provider.cli.receive import receive
from provider.cli.status import status
from provider.cli.validate import validate

__all__ = ["app"]

# Pretty exceptions would print local variables, and a private key is one for a moment (R29).
app = typer.Typer(
    name="python -m provider",
    help="Look at the certificate pairs of iOS MDM servers, and at who trusts them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(cls=StatusCommand)(status)
app.command()(forecast)
app.command()(profile)
app.command()(receive)
app.command()(consume)
app.command()(validate)

if __name__ == "__main__":
    app(prog_name="python -m provider")
