"""Prints the output of the commands on any terminal."""

from __future__ import annotations

import io
import sys

import click

__all__ = ["echo", "escape_unencodable_characters"]


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
