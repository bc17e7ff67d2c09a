"""Reports about a switch without AWS, with texts from outside that try to become markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from ios_mdm.app.readiness.values import Anchor, DeviceReport, EndpointReport, Event, Presented, Reason, Report
from ios_mdm.app.status.fleet import Fleet
from ios_mdm.app.status.overview import Certificate, Level, Overview
from ios_mdm.core.connection.readiness import EndpointReadiness, Verdict
from ios_mdm.core.ledger.registers import Enrollment, Finality, LastAnswer, Progress, microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, StatePolicy
from ios_mdm.core.pair.decision import Notice, Phase, Severity
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.observed import ServedCertificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ios_mdm.ports import Ledger

__all__ = ["HOSTILE", "NOW", "failed_device", "proved_device", "report"]

NOW = datetime(2040, 1, 15, 12, tzinfo=UTC)
HOSTILE = '</td><img src="https://evil.example/x" onerror=alert(1)><script>alert(2)</script>&lt;\u202e"\''
"""A text of a device or of a certificate, with markup, a request, and a mark that changes the direction of writing."""

_ROOT = b"\x01" * 32
_SENT = microseconds(NOW - timedelta(days=3))


@dataclass(frozen=True, slots=True)
class _Records:
    """The part of a ledger that a fleet reads."""

    records: Sequence[DeviceRecord]

    def devices(self, _server: str, *, enrollment_ids: object = None) -> Iterator[DeviceRecord]:
        """Yield all records."""
        del enrollment_ids
        return iter(self.records)


def proved_device(enrollment_id: str) -> DeviceRecord:
    """Return a device that proved the reserve's root."""
    seen = Enrollment(seen=_SENT, listed=_SENT)
    return DeviceRecord(enrollment_id=enrollment_id, enrollment=seen, reported={_ROOT: _SENT})


def failed_device(enrollment_id: str, reason: str = "no space") -> DeviceRecord:
    """Return a device that refused the profile."""
    answer = LastAnswer(queued=_SENT, finality=Finality.ERROR, at=_SENT, detail=reason)
    progress = Progress(revision=1, queued=_SENT, answer=answer)
    return DeviceRecord(enrollment_id=enrollment_id, enrollment=Enrollment(seen=_SENT), progress=progress)


def acknowledged_device(enrollment_id: str) -> DeviceRecord:
    """Return a device that acknowledged the profile."""
    progress = Progress(revision=1, queued=_SENT, acknowledged=_SENT)
    return DeviceRecord(enrollment_id=enrollment_id, enrollment=Enrollment(seen=_SENT), progress=progress)


def report(*devices: DeviceRecord, name: str = "berlin") -> Report:
    """Return the report of a server that is not ready; by default with one device in each list."""
    records = devices or (acknowledged_device("A-1"), failed_device("B-2"), proved_device("C-3"))
    policy = StatePolicy(revision=1, certificates=frozenset({_ROOT}), is_proof_configured=True)
    states = dict.fromkeys(DeviceState, 0)
    for record in records:
        states[device_status(record, policy).state] += 1
    ledger = cast("Ledger", _Records(records))
    fleet = Fleet(server=name, ledger=ledger, policy=policy, enrollment_ids=None, states=states)
    main, reserve = _certificate(1, -300), _certificate(2, -10)
    apply_at = NOW + timedelta(days=16)
    served = ServedCertificate(endpoint="mdm.example.com:443", sha256=main.sha256)
    connection = EndpointReadiness(served=served, verdict=Verdict.READY)
    events = [
        Event(at=main.not_before, text="certificate 1 (main) is valid"),
        Event(at=NOW, text="this report"),
        Event(at=apply_at, text="certificate 2 becomes main"),
        Event(at=main.not_after, text="certificate 1 (main) expires"),
        Event(at=reserve.not_after, text="certificate 2 (reserve) expires"),
    ]
    notice = Notice(reason="due", severity=Severity.WARNING, message=f"a notice {HOSTILE}", due=apply_at)
    return Report(
        overview=Overview(
            name=name,
            address="mdm.example.com",
            phase=Phase.OVERLAP,
            main=main,
            reserve=reserve,
            apply_at=apply_at,
            notices=(notice,),
            due="certificate 2 becomes main",
            scheduled=True,
            now=NOW,
        ),
        devices=DeviceReport(fleet=fleet, has_reserve=True),
        endpoints=(EndpointReport(readiness=connection, presented=Presented.MAIN),),
        anchors=(
            Anchor(
                slot="reserve",
                certificate=2,
                subject=f"CN={HOSTILE}",
                sha256="ab" * 32,
                not_after=reserve.not_after,
                pem="-----BEGIN CERTIFICATE-----\n" + "MIIB" * 16 + "\n-----END CERTIFICATE-----\n",
            ),
        ),
        timeline=tuple(events),
        reasons=(Reason(level=Level.CRITICAL, code="lost-devices", message=f"devices are lost {HOSTILE}"),),
    )


def _certificate(ordinal: int, days: int) -> Certificate:
    start = NOW + timedelta(days=days)
    return Certificate(
        ordinal=ordinal,
        source=Source.ISSUED,
        sha256=f"{ordinal:064x}",
        not_before=start,
        not_after=start + timedelta(days=396),
        days_left=396 + days,
        details=None,
    )
