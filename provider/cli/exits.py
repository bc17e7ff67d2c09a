"""How commands end: with an exit code of their own, a line that says what to do, and never a traceback."""

from __future__ import annotations

import contextlib
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from provider.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click.core import Context

__all__ = ["CANNOT_RUN", "Exit", "StatusCommand", "complain", "explained"]

CANNOT_RUN = 2
"""Of every command but status: usage, no such file, AWS or the MDM server not reachable."""


class Exit(IntEnum):
    """Exit codes of status, as monitoring plugins have them."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class StatusCommand(TyperCommand):
    """A command whose usage errors are *unknown*: 2, the usual code, would be taken for a critical pair."""

    usage_exit_code: ClassVar[int] = Exit.UNKNOWN

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: object
    ) -> Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except TyperException as error:
            error.exit_code = self.usage_exit_code
            raise


def complain(message: str) -> None:
    """Say on stderr what is wrong."""
    typer.echo(f"error: {message}", err=True)


@contextlib.contextmanager
def explained(code: int) -> Iterator[None]:
    """End the command with *code* where the block fails, with the error's own words and no traceback."""
    try:
        yield
    except IosMdmError as error:
        complain(str(error))
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - a traceback quotes values, and this may be in a monitoring system's log
        complain(f"{type(error).__name__} where none was expected: this is a bug of ios-mdm, please report it")
    else:
        return
    raise typer.Exit(code) from None
