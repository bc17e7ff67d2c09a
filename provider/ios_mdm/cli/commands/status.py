"""Options and help of ``status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE, StatusCommand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ios_mdm.app.status.overview import Overview
    from ios_mdm.app.status.watched import Watched

__all__ = ["status"]


@click.command(cls=StatusCommand, short_help="Show pairs, pending changes, and device coverage.")
@click.argument("definition", type=FILE, metavar="[DEFINITION.yaml]", required=False)
@click.option("--server", metavar="NAME", help="Show only this server.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--metrics", type=FILE, metavar="FILE.prom", help="Write metrics for Prometheus to this file.")
@click.option("--html", type=FILE, metavar="FILE", help="Write one self-contained page to this file.")
def status(
    *, definition: Path | None, server: str | None, as_json: bool, metrics: Path | None, html: Path | None
) -> None:
    """Show pairs, their pending changes, the number of devices in each state, and the certificates under `watch`.

    Writes nothing but the files of --metrics and --html.

    DEFINITION.yaml is a stack file, or a list of servers. Default: the file of the selected stack.

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown or wrong usage.
    """
    from ios_mdm.cli import status as work

    writers = []
    if metrics is not None:
        if server is not None:
            raise click.UsageError("--metrics and --server exclude each other, because the file has all servers")
        if metrics.suffix != ".prom":
            raise click.UsageError("--metrics: the textfile collector reads only files *.prom: choose such a name")
        from ios_mdm.cli.metrics import metrics_writer

        writers.append(metrics_writer(metrics))
    if html is not None:
        from ios_mdm.cli.page.document import status_page_writer

        writers.append(status_page_writer(html))

    def write_files(found: Sequence[Overview], watched: Sequence[Watched]) -> None:
        for write in writers:
            write(found, watched)

    work.run(definition=definition, server=server, as_json=as_json, write_files=write_files)
