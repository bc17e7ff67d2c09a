"""The command ``ios-mdm``, which users and monitoring systems call in addition to ``pulumi``."""

from __future__ import annotations

import atexit
import gc
from importlib import import_module

import click

from ios_mdm import __version__
from ios_mdm.cli.output import escape_unencodable_characters

__all__ = ["app"]

_COMMANDS = (
    "status",
    "readiness",
    "devices",
    "verify",
    "resend",
    "forecast",
    "profile",
    "receive",
    "consume",
    "validate",
    "ledger",
)


class _Commands(click.Group):
    """The commands. Each is imported only when it is called, so that it loads no libraries of other commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command from the module of its name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"ios_mdm.cli.commands.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command of the arguments."""
        escape_unencodable_characters()
        return super().invoke(ctx)


app = click.version_option(__version__, prog_name="ios-mdm", message="%(prog)s %(version)s")(
    _Commands(
        name="ios-mdm",
        help="Inspect the certificate pairs of iOS MDM servers, and check which devices trust them.",
        context_settings={"max_content_width": 100},
    )
)

# The interpreter searches for garbage when it ends, which takes a seventh of the CPU time of `validate`. All memory is
# returned anyway.
atexit.register(gc.freeze)

if __name__ == "__main__":
    app(prog_name="ios-mdm")
