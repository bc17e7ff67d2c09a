"""``status``: shows the current state of the pairs, as tables or as JSON."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import click

from ios_mdm import wiring
from ios_mdm.app.status.overview import overview
from ios_mdm.app.status.watched import watch_status
from ios_mdm.cli.definition_file import read_definition, selected_stack_file
from ios_mdm.cli.exits import Exit, exit_on_error, print_error
from ios_mdm.cli.json_stream import json_parts
from ios_mdm.cli.output import echo_parts
from ios_mdm.cli.table import show, show_watched
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.status.coverage import Distribution
    from ios_mdm.app.status.fleet import FleetDevice
    from ios_mdm.app.status.lost import Lost
    from ios_mdm.app.status.overview import Certificate, Overview
    from ios_mdm.app.status.watched import Watched
    from ios_mdm.cli.definition_file import Definition
    from ios_mdm.core.connection.readiness import EndpointReadiness
    from ios_mdm.settings import ServerSettings
    from ios_mdm.wiring import Wiring

    WriteFiles: TypeAlias = Callable[[Sequence[Overview], Sequence[Watched]], None]

__all__ = ["run"]

_Json = dict[str, object]

_NOT_SENT = frozenset({DeviceState.NOT_SENT, DeviceState.ERASED, DeviceState.GONE})

MAX_THREADS = 16
"""Servers that are read in parallel. Each needs up to two connections of an AWS client, which keeps 40 open."""


def run(*, definition: Path | None, server: str | None, as_json: bool, write_files: WriteFiles) -> None:
    """Show the pairs, their pending changes, the states of their devices, and the watched certificates.

    Args:
        definition: path of the definition; None for the file of the selected stack.
        server: name of the only server to show, without watched certificates; None for everything.
        as_json: whether to print JSON.
        write_files: called with the result.
    """
    with exit_on_error(Exit.UNKNOWN), ThreadPoolExecutor(MAX_THREADS) as pool:
        read = read_definition(selected_stack_file(os.environ) if definition is None else definition)
        here = replace(wiring.process_wiring(), base=read.base)
        reading = [] if server is not None else _started_watches(read, here, pool)
        found: list[Overview] = []
        # The output of a server is written during the reads for the next servers.
        for one in _overviews(read, here, server):
            found.append(one)
            if one.problem is not None:
                print_error(f"server {one.name}: {one.problem}")
            if not as_json:
                show(one)
        also = [future.result() for future in reading]
        if also and not as_json:
            show_watched(also)
        worst = max([*(one.level for one in found), *(one.level for one in also)])
        try:
            write_files(found, also)
        finally:
            if as_json:
                answer = {
                    "servers": [_server(one) for one in found],
                    "watched": [_watch_entry(one) for one in also],
                    "severity": worst.name.lower(),
                }
                echo_parts(json_parts(answer))
                echo_parts("\n")
        raise click.exceptions.Exit(Exit[worst.name])


def _started_watches(definition: Definition, here: Wiring, pool: ThreadPoolExecutor) -> Sequence[Future[Watched]]:
    """Start to read the watched certificates, if there are any."""
    if not definition.settings.watch:
        return []
    sources = here.watch_sources(definition.settings.aws.region)
    return [pool.submit(watch_status, one, sources, base=here.base) for one in definition.settings.watch]


def _overviews(definition: Definition, here: Wiring, name: str | None) -> Iterator[Overview]:
    aws, servers = definition.settings.aws, definition.servers(name)

    def gathered(server: ServerSettings) -> Overview:
        # status writes nothing, so each response about a server is requested only once.
        return overview(server, aws, here.with_cached_reads().sources(aws.region), base=here.base)

    if len(servers) == 1:
        yield gathered(servers[0])
        return
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        yield from pool.map(gathered, servers)


def _server(pair_overview: Overview) -> _Json:
    return {
        "name": pair_overview.name,
        "address": pair_overview.address,
        "phase": None if pair_overview.phase is None else str(pair_overview.phase),
        "main": _certificate(pair_overview.main),
        "reserve": _certificate(pair_overview.reserve),
        "applyAt": _time_text(pair_overview.apply_at),
        "scheduled": pair_overview.scheduled,
        "notices": [
            *(
                [_notice("unknown", "unknown", pair_overview.problem, None)]
                if pair_overview.problem is not None
                else []
            ),
            *(
                _notice(str(notice.severity), notice.reason, notice.message, notice.due)
                for notice in pair_overview.notices
            ),
        ],
        "endpoints": [_endpoint(one) for one in pair_overview.endpoints],
        "distribution": _distribution(pair_overview.distribution),
    }


def _endpoint(one: EndpointReadiness) -> _Json:
    served, handshake = one.served, one.served.handshake
    protocol = None if handshake is None or handshake.protocol is None else str(handshake.protocol)
    return {
        "endpoint": served.endpoint,
        "verdict": str(one.verdict),
        "problem": served.problem or None,
        "sha256": served.sha256,
        "protocol": protocol,
        "cipher": None if protocol is None or handshake is None else handshake.cipher,
        "extendedMasterSecret": None if handshake is None else handshake.has_extended_master_secret,
        "findings": [
            {
                "demand": str(finding.demand),
                "found": finding.found,
                "required": finding.required,
                "article": str(finding.article),
                "remedy": finding.remedy,
            }
            for finding in one.findings
        ],
    }


def _watch_entry(one: Watched) -> _Json:
    certificate = one.certificate
    return {
        "name": one.name,
        "source": one.source,
        "subject": None if certificate is None else certificate.subject,
        "sha256": None if certificate is None else certificate.sha256,
        "topic": None if certificate is None else certificate.topic,
        "notAfter": _time_text(None if certificate is None else certificate.not_after),
        "daysLeft": one.days_left,
        "severity": one.level.name.lower(),
        "notices": [_notice(str(notice.severity), notice.reason, notice.message, notice.due) for notice in one.notices],
    }


def _notice(severity: str, reason: str, message: str, due: datetime | None) -> _Json:
    return {"severity": severity, "reason": reason, "message": message, "due": _time_text(due)}


def _certificate(one: Certificate | None) -> _Json | None:
    if one is None:
        return None
    details = one.details
    return {
        "certificate": one.ordinal,
        "source": str(one.source),
        "subject": None if details is None else details.subject,
        "issuer": None if details is None else details.issuer,
        "sans": None if details is None else list(details.sans),
        "serialNumber": None if details is None else details.serial_number,
        "sha256": one.sha256,
        "root": None if details is None else details.root,
        "rootSha256": None if details is None else details.root_sha256,
        "key": None if details is None else details.key,
        "notBefore": _time_text(one.not_before),
        "notAfter": _time_text(one.not_after),
        "daysLeft": one.days_left,
    }


def _distribution(one: Distribution | None) -> _Json | None:
    if one is None:
        return None
    fleet = one.fleet
    return {
        "profile": one.profile,
        "proof": one.is_proof_configured,
        "devices": None if fleet is None else fleet.size,
        "states": None if fleet is None else {str(state): count for state, count in fleet.states.items()},
        "acknowledged": one.count(DeviceState.ACKNOWLEDGED, DeviceState.PROVED),
        "pending": one.count(DeviceState.QUEUED, DeviceState.NOT_NOW, DeviceState.SILENT),
        "errors": one.count(DeviceState.FAILED),
        "notSent": None if fleet is None else fleet.count(*(_NOT_SENT & fleet.lacking_states)),
        "missing": [] if fleet is None else map(_device, fleet.devices(fleet.lacking_states)),
        "lost": None if one.lost is None else _lost_devices(one.lost),
    }


def _lost_devices(one: Lost) -> _Json:
    return {
        "certificate": one.certificate,
        "at": _time_text(one.at),
        "count": one.count,
        "devices": map(_device, one.fleet.devices(one.states)),
    }


def _device(one: FleetDevice) -> _Json:
    status = one.status
    return {"id": status.enrollment_id, "status": str(status.state), "detail": status.detail}


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)
