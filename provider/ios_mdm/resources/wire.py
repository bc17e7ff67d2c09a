"""The format of values in Pulumi's state. Only this module writes and reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from ios_mdm.app.recorded_offers import RecordedOffer, RecordedOffers
from ios_mdm.core.pair.decision import Gate, coverage_text
from ios_mdm.core.pair.definition import OfferedCertificate, Slot
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.switch import Alarm, Promote, Switch
from ios_mdm.core.times import parsed_time, rfc3339

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.app.pair.values import PublicCertificate
    from ios_mdm.core.pair.decision import DesiredState
    from ios_mdm.resources.plain import Wire

__all__ = [
    "certificate_block",
    "desired_block",
    "home_block",
    "home_of",
    "name_of",
    "number_of",
    "recorded_block",
    "recorded_of",
    "switch_block",
    "switch_of",
    "time_text",
]

_ROOTS = "roots"


def name_of(ordinal: int | None) -> str:
    """Return the name of a certificate in state and output: ``certificate N``, or ``none``."""
    return "none" if ordinal is None else f"certificate {ordinal}"


def number_of(name: object) -> int | None:
    """Return the number of the certificate with this name; None if *name* is not ``certificate N``."""
    found = re.fullmatch(r"certificate ([1-9][0-9]*)", str(name))
    return None if found is None else int(found[1])


def desired_block(desired: DesiredState) -> Wire:
    """Return the desired state as the input block that previews show. It is the same before and after the run."""
    following = {} if desired.next_main is None else {"nextMain": name_of(desired.next_main)}
    return {
        "phase": str(desired.phase),
        "main": name_of(desired.main),
        **following,
        "reserve": name_of(desired.reserve),
        **({} if desired.gate is None else {"gate": _gate_text(desired.gate)}),
        "trusted": list(desired.trusted_ordinals),
        "reason": desired.reason,
    }


def _gate_text(gate: Gate) -> str:
    if gate.is_open:
        return f"open: at least {coverage_text(gate.minimum)}"
    return f"closed until {coverage_text(gate.minimum)}, at the latest {gate.latest:%Y-%m-%d %H:%M} UTC"


def certificate_block(certificate: PublicCertificate) -> Wire:
    """Return the public details of a certificate with its PEM chain (R14)."""
    details = certificate.details
    return {
        "number": certificate.facts.ordinal,
        "subject": details.subject,
        "issuer": details.issuer,
        "sans": list(details.sans),
        "serialNumber": details.serial_number,
        "sha256": details.sha256,
        "root": details.root,
        "rootSha256": details.root_sha256,
        "key": details.key,
        "notBefore": time_text(details.not_before),
        "notAfter": time_text(details.not_after),
        "source": str(certificate.facts.source),
        "pem": certificate.pem,
    }


def home_block(home: Home | None) -> Wire | None:
    """Return the account and the region of a pair; :func:`home_of` parses them."""
    return None if home is None else {"account": home.account, "region": home.region}


def home_of(block: object) -> Home:
    """Parse a block of :func:`home_block`."""
    found = cast("Wire", block)
    return Home(account=str(found["account"]), region=str(found["region"]))


def recorded_block(recorded: RecordedOffers) -> Wire:
    """Return the public data of custom certificates that the state keeps; :func:`recorded_of` parses it."""
    block: Wire = {str(slot): _offer_block(offer) for slot, offer in recorded.offers.items()}
    return {**block, _ROOTS: dict(recorded.roots)} if recorded.roots else block


def recorded_of(block: object) -> RecordedOffers:
    """Parse a block of :func:`recorded_block`; a state without such a block has no custom certificates."""
    if not isinstance(block, dict):
        return RecordedOffers()
    return RecordedOffers(
        offers={slot: _offer_of(cast("Wire", block[slot])) for slot in Slot if slot in block},
        roots=cast("dict[str, str]", block.get(_ROOTS, {})),
    )


def _offer_block(offer: RecordedOffer) -> Wire:
    offered = offer.offered
    return {
        "sha256": offered.sha256,
        "rootDigest": offered.root,
        "notBefore": time_text(offered.not_before),
        "notAfter": time_text(offered.not_after),
        "chain": offered.chain,
        "root": offer.root,
    }


def _offer_of(block: Wire) -> RecordedOffer:
    offered = OfferedCertificate(
        sha256=str(block["sha256"]),
        root=str(block["rootDigest"]),
        not_before=_time(block["notBefore"]),
        not_after=_time(block["notAfter"]),
        chain=str(block.get("chain", "")),
    )
    return RecordedOffer(offered=offered, root=str(block["root"]))


def switch_block(switch: Switch, *, alarms: bool = True) -> Wire:
    """Return a switch as an output block; :func:`switch_of` parses it.

    Args:
        switch: promotions and alarms that AWS carries out automatically.
        alarms: whether the alarms are sent to a topic; otherwise they are left out.
    """
    block = {
        "promote": _promote_block(switch.promote),
        "replace": _promote_block(switch.replace),
        "overdue": _alarm_block(switch.overdue if alarms else None),
        "expiry": _alarm_block(switch.expiry if alarms else None),
    }
    return {key: value for key, value in block.items() if value is not None}


def _promote_block(promote: Promote | None) -> Wire | None:
    if promote is None:
        return None
    block: Wire = {
        "at": time_text(promote.at),
        "certificate": promote.certificate,
        "version": promote.version,
        "formerVersion": promote.former_version,
    }
    return block if promote.gate is None else {**block, "gate": _gate_block(promote.gate)}


def _gate_block(gate: Gate) -> Wire:
    return {
        "isOpen": gate.is_open,
        "minimum": gate.minimum,
        "early": time_text(gate.early),
        "latest": time_text(gate.latest),
    }


def _alarm_block(alarm: Alarm | None) -> Wire | None:
    return None if alarm is None else {"at": time_text(alarm.at), "message": alarm.message}


def switch_of(block: Wire) -> Switch:
    """Parse a block of :func:`switch_block`."""
    return Switch(
        promote=_promote_of(cast("Wire | None", block.get("promote"))),
        replace=_promote_of(cast("Wire | None", block.get("replace"))),
        overdue=_alarm_of(cast("Wire | None", block.get("overdue"))),
        expiry=_alarm_of(cast("Wire | None", block.get("expiry"))),
    )


def _promote_of(block: Wire | None) -> Promote | None:
    if block is None:
        return None
    return Promote(
        at=_time(block["at"]),
        certificate=int(cast("int", block["certificate"])),
        version=str(block["version"]),
        former_version=str(block["formerVersion"]),
        gate=_gate_of(cast("Wire | None", block.get("gate"))),
    )


def _gate_of(block: Wire | None) -> Gate | None:
    if block is None:
        return None
    return Gate(
        is_open=bool(block["isOpen"]),
        minimum=int(cast("int", block["minimum"])),
        early=_time(block["early"]),
        latest=_time(block["latest"]),
    )


def _alarm_of(block: Wire | None) -> Alarm | None:
    return None if block is None else Alarm(at=_time(block["at"]), message=str(block["message"]))


def _time(value: object) -> datetime:
    return parsed_time(str(value))


def time_text(moment: datetime | None) -> str | None:
    """Return a time as RFC 3339 text in UTC."""
    return None if moment is None else rfc3339(moment)
