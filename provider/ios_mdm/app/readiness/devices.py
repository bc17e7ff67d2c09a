"""Computes which devices have the certificates of the reserve, whatever the time of the switch is (R44, R46)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ios_mdm.app.readiness.values import DeviceReport
from ios_mdm.app.status.lost import reserve_fleet
from ios_mdm.core.ledger.gate import gate_coverage
from ios_mdm.core.ledger.overdue import silence_limit
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.profile import certificate_digests, trust_profile
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.app.status.fleet import Fleet
    from ios_mdm.app.status.overview import Overview
    from ios_mdm.core.ledger.gate import GateCoverage

__all__ = ["device_report"]


def device_report(overview: Overview) -> tuple[DeviceReport | None, str]:
    """Return the devices of a server, and the reason if they are unknown.

    Args:
        overview: status of the server.
    """
    distribution, prospect = overview.distribution, overview.prospect
    if prospect is None:
        return None, "the pair could not be read"
    settings = prospect.settings
    if distribution is None or settings.distribution is None:
        return None, "the definition has no distribution: check by other means that the devices trust the reserve"
    devices = distribution.fleet
    if devices is None:
        codes = {"coverage", "no-ledger"}
        known = [notice.message for notice in overview.notices if notice.reason in codes]
        return None, known[0] if known else distribution.coverage_text
    if prospect.plan is None:
        return DeviceReport(fleet=devices, has_reserve=False), ""
    try:
        profile = trust_profile(
            [prospect.plan.chain], identifier=distribution.identifier, server=settings.name, host=settings.host
        )
        rules = settings.distribution.ledger_rules
        found = reserve_fleet(devices, rules, certificate_digests(profile), now=overview.now)
        minimum = settings.promotion.minimum_coverage
        coverage = None
        if minimum is not None:
            coverage = _coverage(found, settings.promotion.ignore_silent_days, overview.now)
    except IosMdmError as error:
        return None, str(error)
    return DeviceReport(fleet=found, has_reserve=True, coverage=coverage, minimum=minimum), ""


def _coverage(devices: Fleet, ignored_silent_days: int | None, now: datetime) -> GateCoverage:
    days = ignored_silent_days
    silent_before = NEVER if days is None else silence_limit(now, days)
    policy = replace(devices.policy, silent_before=silent_before)
    counts = devices.ledger.counts(devices.server, policy, enrollment_ids=devices.enrollment_ids)
    return gate_coverage(counts, is_proof_configured=policy.is_proof_configured)
