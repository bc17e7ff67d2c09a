"""Builds the report about the next switch of a server from its status (R44, R45, R46, R48). Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.app.readiness.devices import device_report
from ios_mdm.app.readiness.reasons import report_reasons
from ios_mdm.app.readiness.values import Anchor, EndpointReport, Event, Presented, Report
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.pem import CertificateError
from ios_mdm.core.x509.pem import chain as certificates_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ios_mdm.app.status.overview import Overview
    from ios_mdm.core.connection.readiness import EndpointReadiness

__all__ = ["readiness_report"]


def readiness_report(overview: Overview) -> Report:
    """Return the report about the next switch of a server. An error is a reason of its verdict and is not raised.

    Args:
        overview: status of the server.
    """
    devices, problem = device_report(overview)
    endpoints = tuple(
        EndpointReport(readiness=one, presented=_presented_certificate(one, overview)) for one in overview.endpoints
    )
    prospect = overview.prospect
    gate = None if prospect is None else prospect.gate
    latest_at = None if gate is None else gate.latest
    return Report(
        overview=overview,
        latest_at=latest_at,
        devices=devices,
        endpoints=endpoints,
        anchors=tuple(_anchors(overview)),
        timeline=tuple(sorted(_events(overview, latest_at), key=lambda event: event.at)),
        reasons=report_reasons(overview, devices, problem, endpoints),
    )


def _presented_certificate(one: EndpointReadiness, overview: Overview) -> Presented:
    sha256 = one.served.sha256
    if sha256 is None:
        return Presented.UNKNOWN
    for certificate, presented in ((overview.main, Presented.MAIN), (overview.reserve, Presented.RESERVE)):
        if certificate is not None and certificate.sha256 == sha256:
            return presented
    return Presented.OTHER


def _anchors(overview: Overview) -> Iterator[Anchor]:
    """Yield the roots of main and of the reserve. A root of both is yielded once."""
    prospect = overview.prospect
    if prospect is None:
        return
    seen: set[str] = set()
    reserve = None if prospect.plan is None else prospect.plan.chain
    for slot, certificate, pem in (
        ("main", overview.main, prospect.main_chain),
        ("reserve", overview.reserve, reserve),
    ):
        if certificate is None or pem is None:
            continue
        try:
            root = certificates_of(pem)[-1]
        except CertificateError:
            continue  # a notice reports it
        sha256 = fingerprint(root)
        if sha256 not in seen:
            seen.add(sha256)
            yield Anchor(
                slot=slot,
                certificate=certificate.ordinal,
                subject=root.subject.rfc4514_string(),
                sha256=sha256,
                not_after=root.not_valid_after_utc,
                pem=root.public_bytes(Encoding.PEM).decode("ascii"),
            )


def _events(overview: Overview, latest_at: datetime | None) -> Iterator[Event]:
    yield Event(at=overview.now, text="this report")
    for slot, certificate in (("main", overview.main), ("reserve", overview.reserve)):
        if certificate is not None:
            name = f"certificate {certificate.ordinal} ({slot})"
            yield Event(at=certificate.not_before, text=f"{name} is valid")
            yield Event(at=certificate.not_after, text=f"{name} expires")
    if overview.apply_at is not None and overview.reserve is not None:
        name = f"certificate {overview.reserve.ordinal} becomes main"
        yield Event(at=overview.apply_at, text=name)
        if latest_at is not None and latest_at != overview.apply_at:
            yield Event(at=latest_at, text=f"{name} at the latest, with any number of devices")
