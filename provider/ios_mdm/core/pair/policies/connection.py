"""Warnings about TLS connections that devices might refuse (R48)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.connection.demands import handshake_findings
from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.core.connection.demands import Finding
    from ios_mdm.core.pair.observed import ServedCertificate

__all__ = ["connection_notices", "finding_notices"]


def connection_notices(served: Sequence[ServedCertificate]) -> tuple[Notice, ...]:
    """Return a warning for each requirement that the handshakes of endpoints violate.

    The presented certificates are not checked here, because this loads cryptography. The rules checked main, and any
    other certificate has a notice.
    """
    return finding_notices(
        [
            (one.endpoint, finding)
            for one in served
            if one.handshake is not None
            for finding in handshake_findings(one.handshake)
        ]
    )


def finding_notices(findings: Sequence[tuple[str, Finding]]) -> tuple[Notice, ...]:
    """Return one warning for all endpoints with the same finding.

    Args:
        findings: an endpoint and its finding, for each finding.
    """
    endpoints: dict[Finding, list[str]] = {}
    for endpoint, finding in findings:
        endpoints.setdefault(finding, []).append(endpoint)
    return tuple(
        Notice(reason=str(finding.demand), severity=Severity.WARNING, message=finding.message(", ".join(names)))
        for finding, names in endpoints.items()
    )
