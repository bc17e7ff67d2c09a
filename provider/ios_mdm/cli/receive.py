"""``receive``: runs the collector, which records the events of an MDM server in a ledger."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import re
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.address import is_loopback
from ios_mdm.cli.limited_log import LimitedHandler
from ios_mdm.cli.output import echo
from ios_mdm.errors import DefinitionError, IosMdmError
from ios_mdm.files import KIB, file_content

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

MAX_PORT = 65535
MAX_KEY_FILE = 4 * KIB


def run(
    *, ledger: str, listen: str, hmac_key_file: Path | None, port_file: Path | None, allow_host: Sequence[str]
) -> None:
    """Receive NanoMDM's webhook events and record the enrollments and answers of devices."""
    try:
        _receive(ledger, listen, hmac_key_file, port_file, allow_host)
    except IosMdmError as error:
        echo(f"error: {error}", err=True)
        raise click.exceptions.Exit(2) from None


def _receive(
    ledger_url: str, listen: str, hmac_key_file: Path | None, port_file: Path | None, hosts: Sequence[str]
) -> None:
    wired = wiring.process_wiring()
    log = LimitedHandler(sys.stderr, wired.clock().now)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[log])
    logging.getLogger("tornado").setLevel(logging.WARNING)  # tornado logs a line for each malformed request
    host, port = _address(listen)
    key = None if hmac_key_file is None else _key(hmac_key_file)
    collector = wired.collector(ledger_url, hmac_key=key, hosts=hosts)
    if key is None and not is_loopback(host):
        raise DefinitionError(
            f"{host} is not a loopback address, so without an HMAC key other machines can post events: set "
            "--hmac-key-file"
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(wired.http_server(collector, host=host, port=port))
        if port_file is not None:
            stack.callback(port_file.unlink, missing_ok=True)
            _write(port_file, f"{server.address}\n")
        collector.prepare()
        echo(f"listening on http://{server.address}/")
        stop.wait()


def _address(listen: str) -> tuple[str, int]:
    """Return the IP address and the port of an address such as ``127.0.0.1:9100`` or ``[::1]:9100``."""
    host, _, port = listen.rpartition(":")
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= MAX_PORT:
            return str(address), int(port)
    raise DefinitionError(f"--listen {listen!r} is not an address to listen on: use IP:PORT, such as 127.0.0.1:9100")


def _key(file: Path) -> bytes:
    named = f"--hmac-key-file {file}"
    key = file_content(file, limit=MAX_KEY_FILE, named=named, allows_pipe=True).strip()
    if not key:
        raise DefinitionError(f"{named} is empty: write the key of NanoMDM's -webhook-hmac-key into it")
    return key


def _write(file: Path, text: str) -> None:
    """Write a file atomically: a reader finds the complete text or no file."""
    try:
        handle, scratch = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(text)
        Path(scratch).replace(file)
    except OSError as error:
        raise DefinitionError(f"--port-file {file} cannot be written: {error.strerror}") from error
