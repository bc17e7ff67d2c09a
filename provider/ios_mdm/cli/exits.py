"""How commands end: with an exit code of their own, a line that says what to do, and never a traceback."""

from __future__ import annotations

import contextlib
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from ios_mdm.core.text import printable
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CANNOT_RUN", "FILE", "Exit", "StatusCommand", "complain", "explained"]

CANNOT_RUN = 2
"""Of every command but status: usage, no such file, AWS or the MDM server not reachable."""
FILE = click.Path(path_type=Path)
"""An option's file. Whether it can be read is told where it is read, with what to do."""


class Exit(IntEnum):
    """Exit codes of status, as monitoring plugins have them."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class StatusCommand(click.Command):
    """A command whose usage errors are *unknown*: 2, the usual code, would be taken for a critical pair."""

    usage_exit_code: ClassVar[int] = Exit.UNKNOWN

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            error.exit_code = self.usage_exit_code  # type: ignore[misc] # click asks the instance
            raise


def complain(message: str) -> None:
    """Say on stderr what is wrong."""
    click.echo(f"error: {printable(message, keep=chr(10))}", err=True)


@contextlib.contextmanager
def explained(code: int) -> Iterator[None]:
    """End the command with *code* where the block fails, with the error's own words and no traceback."""
    try:
        yield
    except IosMdmError as error:
        complain(str(error))
    except (click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - a traceback quotes values, and this may be in a monitoring system's log
        complain(f"{type(error).__name__} where none was expected: this is a bug of ios-mdm, please report it")
    else:
        return
    raise click.exceptions.Exit(code) from None
