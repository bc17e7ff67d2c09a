"""``receive``: runs the collector, which records the events of an MDM server, and sends the profile to new devices."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import signal
import sys
import threading
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ios_mdm import wiring
from ios_mdm.address import is_loopback
from ios_mdm.app.collector.background import Background
from ios_mdm.app.collector.periodic import Periodic
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error
from ios_mdm.cli.limited_log import LimitedHandler
from ios_mdm.cli.mdm_server import MdmServer
from ios_mdm.cli.output import echo
from ios_mdm.errors import DefinitionError, StoreError
from ios_mdm.files import KIB, file_content, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ios_mdm.app.collector.newcomers import Newcomers
    from ios_mdm.ports import Ledger
    from ios_mdm.wiring import Wiring

__all__ = ["Options", "run"]

GATE_INTERVAL = 600.0
"""Seconds between two evaluations of the gates."""

DAY = 86_400.0
"""Seconds between two deletions of the records of devices that left."""

MAX_PORT = 65535
MAX_KEY_FILE = 4 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values of the options of ``receive``; None if an option is not used.

    Args:
        ledger: URL of the ledger; None for that of the definition.
        definition: file of the definition with the MDM server; None to record only.
        server: server of the definition that selects the MDM server.
        listen: ``IP:PORT``.
        hmac_key_file: file with the key of the events' signatures.
        port_file: file that gets the bound ``IP:PORT``.
        hosts: host names that unsigned requests may use.
    """

    ledger: str | None
    definition: Path | None
    server: str | None
    listen: str
    hmac_key_file: Path | None
    port_file: Path | None
    hosts: Sequence[str]


def run(options: Options) -> None:
    """Receive NanoMDM's webhook events, record them in a ledger, and send the profile to new devices."""
    with exit_on_error(CANNOT_RUN):
        _receive(options)


def _receive(options: Options) -> None:
    wired = wiring.process_wiring()
    log = LimitedHandler(sys.stderr, wired.clock().now)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[log])
    logging.getLogger("tornado").setLevel(logging.WARNING)  # tornado logs a line for each malformed request
    for name in ("botocore", "httpx"):  # they log a line for each credential and each request
        logging.getLogger(name).setLevel(logging.WARNING)
    host, port = _address(options.listen)
    key = None if options.hmac_key_file is None else _key(options.hmac_key_file)
    mdm_server = None if options.definition is None else MdmServer.read(options.definition, options.server)
    ledger = _ledger(options, wired, mdm_server)
    if key is None and not is_loopback(host):
        raise DefinitionError(
            f"{host} is not a loopback address, so without an HMAC key other machines can post events: set "
            "--hmac-key-file"
        )
    # Only SimpleQueue is safe in a signal handler: other queues and events can deadlock there.
    signals: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.put(number))
    stop = threading.Event()
    newcomers = None if mdm_server is None else mdm_server.newcomers(wired, ledger, stop.wait)
    with contextlib.ExitStack() as stack:
        if newcomers is not None:
            stack.callback(newcomers.close)
        background = None if newcomers is None else stack.enter_context(Background(newcomers.send))
        on_begun = None if background is None else background.add
        collector = wired.collector(ledger, hmac_key=key, hosts=options.hosts, on_begun=on_begun)
        server = stack.enter_context(wired.http_server(collector, host=host, port=port))
        if options.port_file is not None:
            stack.callback(options.port_file.unlink, missing_ok=True)
            _write(options.port_file, f"{server.address}\n")
        collector.prepare()
        if newcomers is None:
            echo("events are recorded only: without --definition, `up` sends the profile to new devices", err=True)
        else:
            _prepare(newcomers)
        if mdm_server is not None:
            deletes = Periodic(partial(mdm_server.delete_left_devices, wired, ledger), partial(stop.wait, DAY))
            stack.enter_context(deletes)
        if mdm_server is not None and mdm_server.has_gate:
            moves = Periodic(partial(mdm_server.move_switches, wired), partial(stop.wait, GATE_INTERVAL))
            stack.enter_context(moves)
        echo(f"listening on http://{server.address}/")
        signals.get()
        stop.set()


def _ledger(options: Options, wired: Wiring, mdm_server: MdmServer | None) -> Ledger:
    """Return the ledger of the options.

    Raises:
        DefinitionError: Neither the options nor the definition name a ledger, or its URL is invalid.
    """
    if options.server is not None and mdm_server is None:
        raise DefinitionError("--server names a server of a definition: add --definition")
    if options.ledger is not None:
        region = None if mdm_server is None else mdm_server.definition.settings.aws.region
        return wired.ledger(options.ledger, region)
    if mdm_server is None:
        raise DefinitionError("no ledger is named: add --ledger sqlite:///path, or --definition FILE")
    return mdm_server.ledger(wired)


def _prepare(newcomers: Newcomers) -> None:
    """Read the API key at the start, so that a wrong definition is an error at once.

    If AWS does not answer, events are recorded, and the key is read when a device enrolls.
    """
    try:
        newcomers.prepare()
    except StoreError as error:
        echo(f"warning: {error}. Events are recorded. The API key is read again when a device enrolls", err=True)


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
    try:
        replace_file(file, text.encode("ascii"), mode=0o600)
    except OSError as error:
        raise DefinitionError(f"--port-file {file} cannot be written: {error.strerror}") from error
