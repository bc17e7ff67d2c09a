"""Exit codes and error output of the commands. No command prints a traceback."""

from __future__ import annotations

import contextlib
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import click

from ios_mdm.cli.output import echo
from ios_mdm.core.text import printable
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CANNOT_RUN", "FILE", "Exit", "StatusCommand", "exit_on_error", "print_error", "single_value"]

CANNOT_RUN = 2
"""Exit code of all commands except status: wrong usage, a missing file, or AWS or the MDM server does not answer."""
FILE = click.Path(path_type=Path)
"""Type of an option that names a file. click does not check the file: the code that reads it reports what to do."""


_Value = TypeVar("_Value")


class Exit(IntEnum):
    """Exit codes of status: those of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class StatusCommand(click.Command):
    """A command that exits with *unknown* after a usage error. The usual code, 2, means a critical pair."""

    usage_exit_code: ClassVar[int] = Exit.UNKNOWN

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Parse the arguments."""
        with self._usage_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, context: click.Context) -> object:
        """Run the command, which can check the combination of its options."""
        with self._usage_errors():
            return super().invoke(context)

    @contextlib.contextmanager
    def _usage_errors(self) -> Iterator[None]:
        try:
            yield
        except click.ClickException as error:
            error.exit_code = self.usage_exit_code  # type: ignore[misc] # click asks the instance
            raise


def single_value(_context: click.Context, _option: click.Parameter, values: tuple[_Value, ...]) -> _Value | None:
    """Return the value of an option with ``multiple=True`` that must not be repeated, or None if it is not used.

    Without ``multiple=True``, click ignores every value except the last one.

    Raises:
        BadParameter: The option is repeated.
    """
    if len(values) > 1:
        raise click.BadParameter(f"the option has {len(values)} values: use it once")
    return values[0] if values else None


def print_error(message: str) -> None:
    """Print an error message to stderr."""
    echo(f"error: {printable(message, keep=chr(10))}", err=True)


@contextlib.contextmanager
def exit_on_error(code: int) -> Iterator[None]:
    """If the block fails, print the error without a traceback and exit with *code*."""
    try:
        yield
    except IosMdmError as error:
        print_error(str(error))
    except (click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - a traceback quotes values, and this may be in a monitoring system's log
        print_error(f"unexpected {type(error).__name__}: this is a bug in ios-mdm, please report it")
    else:
        return
    raise click.exceptions.Exit(code) from None
