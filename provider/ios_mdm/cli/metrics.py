"""Writes the metrics of ``status`` in the text format of Prometheus, for the textfile collector of node_exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ios_mdm.app.readiness.report import readiness_report
from ios_mdm.app.readiness.values import Verdict
from ios_mdm.cli.exits import Exit
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.errors import DefinitionError
from ios_mdm.files import MIB, file_content, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from prometheus_client import Metric

    from ios_mdm.app.status.overview import Level, Overview
    from ios_mdm.app.status.watched import Watched

__all__ = ["LAST_RUN", "metrics_text", "metrics_writer"]

LAST_RUN: Final = "ios_mdm_last_run_timestamp_seconds"
_MAX_FILE: Final = 64 * MIB
"""Size limit of the former file in bytes. A server takes about 2 KiB."""
_MODE: Final = 0o644
"""node_exporter runs as another user. It reads *.prom only, so not the file that is renamed."""

MAX_LOST_DEVICES: Final = 1000
"""Number of devices that a metric names. ``ios_mdm_devices_without_profile`` counts all of them."""


def metrics_writer(path: Path) -> Callable[[Sequence[Overview], Sequence[Watched]], None]:
    """Return the function that writes the result of ``status`` to the file *path* atomically.

    The function raises a DefinitionError if the file cannot be written.
    """

    def write(overviews: Sequence[Overview], also: Sequence[Watched]) -> None:
        content = metrics_text(overviews, also, last_runs=_last_runs(path))
        try:
            replace_file(path, content, mode=_MODE)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "its name cannot be used"
            raise DefinitionError(
                f"--metrics: {path} cannot be written: {reason}. Name a file in a folder that this user can write"
            ) from None

    return write


def metrics_text(
    overviews: Sequence[Overview], also: Sequence[Watched], *, last_runs: Mapping[str, float] | None = None
) -> bytes:
    """Return the metrics. The same arguments give the same bytes.

    Args:
        overviews: status of each server.
        also: status of each watched certificate.
        last_runs: time of the last run that could read the server, by the name of the server, in seconds since 1970.
            It stays in the file while the server cannot be read.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_server_families(overviews, last_runs or {}), *_watched_families(also)]))
    return generate_latest(registry)


class _Families(Collector):
    """Metrics that were computed before."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that have a value."""
        return (family for family in self._families if family.samples)


def _server_families(overviews: Sequence[Overview], last_runs: Mapping[str, float]) -> Iterable[Metric]:
    expiry = GaugeMetricFamily(
        "ios_mdm_certificate_expiry_timestamp_seconds",
        "End of validity of the certificate in a slot of the pair.",
        labels=("server", "slot"),
    )
    apply = GaugeMetricFamily(
        "ios_mdm_apply_timestamp_seconds", "Time at which the reserve becomes main.", labels=("server",)
    )
    armed = GaugeMetricFamily(
        "ios_mdm_switch_armed", "Whether schedules in AWS make the reserve main (1) or not (0).", labels=("server",)
    )
    ready = GaugeMetricFamily(
        "ios_mdm_ready",
        "Whether the server is ready for its next switch (1) or not (0); no value if that is unknown.",
        labels=("server",),
    )
    severity = GaugeMetricFamily(
        "ios_mdm_status_severity",
        "Worst notice of the server: 0 ok, 1 warning, 2 critical, 3 unknown.",
        labels=("server",),
    )
    last_run = GaugeMetricFamily(LAST_RUN, "Last run of status that could read the server.", labels=("server",))
    for one in overviews:
        name = one.name
        for slot, certificate in (("main", one.main), ("reserve", one.reserve)):
            if certificate is not None:
                expiry.add_metric((name, slot), certificate.not_after.timestamp())
        if one.apply_at is not None:
            apply.add_metric((name,), one.apply_at.timestamp())
        if one.scheduled is not None:
            armed.add_metric((name,), int(one.scheduled))
        verdict = readiness_report(one).verdict
        if verdict is not Verdict.UNKNOWN:
            ready.add_metric((name,), int(verdict is Verdict.READY))
        severity.add_metric((name,), _severity(one.level))
        read_at = one.now.timestamp() if one.problem is None else last_runs.get(name)
        if read_at is not None:
            last_run.add_metric((name,), read_at)
    return expiry, apply, armed, *_device_families(overviews), ready, severity, last_run


def _device_families(overviews: Sequence[Overview]) -> Iterable[Metric]:
    devices = GaugeMetricFamily(
        "ios_mdm_devices", "Devices of the definition by the state of the profile.", labels=("server", "state")
    )
    missing = GaugeMetricFamily(
        "ios_mdm_devices_without_profile",
        "Devices that lose their connection when the reserve becomes main.",
        labels=("server",),
    )
    lost = GaugeMetricFamily(
        "ios_mdm_lost_device",
        "Device that loses its connection at the switch within the next 30 days.",
        labels=("server", "enrollment_id", "state"),
    )
    for one in overviews:
        found, name = one.distribution, one.name
        if found is None or found.fleet is None:
            continue
        for state, count in found.fleet.states.items():
            devices.add_metric((name, str(state)), count)
        # A device that checked out has no connection to lose.
        missing.add_metric((name,), found.fleet.count(*found.fleet.lacking_states - {DeviceState.GONE}))
        if found.lost is not None:
            for device in found.lost.fleet.first_devices(found.lost.states, MAX_LOST_DEVICES):
                lost.add_metric((name, device.status.enrollment_id, str(device.status.state)), 1)
    return devices, missing, lost


def _watched_families(also: Sequence[Watched]) -> Iterable[Metric]:
    expiry = GaugeMetricFamily(
        "ios_mdm_watched_expiry_timestamp_seconds", "End of validity of a watched certificate.", labels=("name",)
    )
    severity = GaugeMetricFamily(
        "ios_mdm_watched_severity",
        "Worst notice of the watched certificate: 0 ok, 1 warning, 2 critical.",
        labels=("name",),
    )
    for one in also:
        if one.certificate is not None:
            expiry.add_metric((one.name,), one.certificate.not_after.timestamp())
        severity.add_metric((one.name,), _severity(one.level))
    return expiry, severity


def _severity(level: Level) -> int:
    """Return a level as the exit code that the command has for it."""
    return Exit[level.name]


def _last_runs(path: Path) -> Mapping[str, float]:
    """Return the times of the last runs in the former file; empty if the file is missing or has another form."""
    try:
        text = file_content(path, limit=_MAX_FILE, named=path.name).decode()
        return {
            sample.labels["server"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == LAST_RUN
        }
    except (DefinitionError, ValueError, KeyError, IndexError):
        return {}
