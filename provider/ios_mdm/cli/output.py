"""Prints the output of the commands on any terminal."""

from __future__ import annotations

import io
import sys
from itertools import islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["echo", "echo_parts", "escape_unencodable_characters"]

_PARTS = 1_000
"""Number of parts of a long output that are written at once."""


def escape_unencodable_characters() -> None:
    r"""Print a character that the encoding of stdout or stderr does not have as an escape, for example ``\u65e5``.

    The default for stdout is an exception, which a name in a certificate can cause.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: str, *, err: bool = False) -> None:
    """Print a line to stdout, or to stderr if *err* is True.

    click prints UTF-8 if the encoding of the stream is ASCII, unless the stream is an argument.
    """
    click.echo(text, file=sys.stderr if err else sys.stdout)


def echo_parts(parts: Iterable[str]) -> None:
    """Print a long text in parts to stdout. The parts contain the line feeds."""
    rest = iter(parts)
    while text := "".join(islice(rest, _PARTS)):
        click.echo(text, nl=False, file=sys.stdout)
