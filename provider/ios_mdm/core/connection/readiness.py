"""The verdict about an endpoint: whether its connections fulfill Apple's requirements (R48)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.connection.certificates import certificate_findings
from ios_mdm.core.connection.demands import Demand, handshake_findings
from ios_mdm.core.pair.policies import finding_notices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.core.connection.demands import Finding
    from ios_mdm.core.pair.decision import Notice
    from ios_mdm.core.pair.observed import ServedCertificate

__all__ = ["EndpointReadiness", "Verdict", "certificate_notices", "endpoint_readiness"]


class Verdict(StrEnum):
    """Verdict about an endpoint."""

    READY = "ready"
    """No requirement is violated, as far as a handshake shows it."""
    AT_RISK = "at-risk"
    """Devices might refuse connections, or refuse them today."""
    UNKNOWN = "unknown"
    """The endpoint cannot be reached, does not use TLS, or did not complete a handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReadiness:
    """The verdict about an endpoint, with its reasons.

    Args:
        served: result of the probe, with the reason if the handshake was not completed.
        verdict: the verdict.
        findings: violated requirements; empty unless the verdict is *at risk*.
    """

    served: ServedCertificate
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    @property
    def text(self) -> str:
        """The verdict and its reasons in one line, without the endpoint."""
        handshake = self.served.handshake
        facts = [] if handshake is None or handshake.protocol is None else [str(handshake.protocol), handshake.cipher]
        problem = [self.served.problem] if self.served.problem else []
        reasons = f" ({', '.join(one.demand for one in self.findings)})" if self.findings else ""
        return f"{self.verdict}{reasons}: {', '.join((*facts, *problem))}"


def endpoint_readiness(served: ServedCertificate, *, host: str, now: datetime) -> EndpointReadiness:
    """Return the verdict about an endpoint.

    Args:
        served: result of the probe.
        host: connection address without its port, in A-labels.
        now: time of the check, aware UTC.
    """
    handshake = served.handshake
    findings: tuple[Finding, ...] = ()
    if handshake is not None:
        findings = handshake_findings(handshake)
        if handshake.certificate is not None:
            findings += certificate_findings(handshake.certificate, host=host, now=now)
    is_complete = handshake is not None and handshake.certificate is not None
    verdict = Verdict.AT_RISK if findings else Verdict.READY if is_complete else Verdict.UNKNOWN
    return EndpointReadiness(served=served, verdict=verdict, findings=findings)


def certificate_notices(endpoints: Sequence[EndpointReadiness]) -> tuple[Notice, ...]:
    """Return a warning for each requirement that presented certificates violate, except for their dates.

    A preview has the notices about the handshakes. Other notices report expired certificates.
    """
    return finding_notices(
        [
            (one.served.endpoint, finding)
            for one in endpoints
            for finding in one.findings
            if finding.demand.is_of_certificate and finding.demand is not Demand.DATES
        ]
    )
