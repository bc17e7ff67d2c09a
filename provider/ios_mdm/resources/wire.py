"""What the engine sends and takes: plain dicts with numbers as floats and unknown values as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pulumi.output import Unknown

from ios_mdm.core.pair.definition import Offered, Slot
from ios_mdm.core.pair.switch import Alarm, Promote, Switch
from ios_mdm.core.times import parsed_time, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ios_mdm.app.pair.service import PublicCertificate
    from ios_mdm.core.pair.decision import Desired

__all__ = [
    "Wire",
    "certificate_block",
    "desired_block",
    "known",
    "name_of",
    "offered_block",
    "offered_of",
    "plain",
    "roots_of",
    "switch_block",
    "switch_of",
    "text",
    "with_roots",
]

_ROOTS = "roots"

Wire = dict[str, object]
"""A resource's inputs or outputs: JSON values, ``Unknown`` among them in previews."""


def plain(value: object) -> object:
    """Return *value* with the engine's floats as the whole numbers that they were, and its own dicts as dicts."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        # `__provider` and other keys of the engine's are none of our business.
        return {str(key): plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def known(value: object) -> bool:
    """Return whether *value* holds nothing that is known only after an effect."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return True


def name_of(ordinal: int | None) -> str:
    """Return how a certificate is called in state and output."""
    return "none" if ordinal is None else f"certificate {ordinal}"


def desired_block(desired: Desired) -> Wire:
    """Return the desired state as the input block that previews show. It holds nothing that changes by being done."""
    return {
        "phase": str(desired.phase),
        "main": name_of(desired.main),
        "reserve": name_of(desired.reserve),
        "trusted": [name_of(ordinal) for ordinal in desired.trusted],
        "reason": desired.reason,
    }


def certificate_block(certificate: PublicCertificate) -> Wire:
    """Return what R14 shows of a certificate, with its PEM chain; everything is public."""
    details = certificate.details
    return {
        "subject": details.subject,
        "issuer": details.issuer,
        "sans": list(details.sans),
        "serialNumber": details.serial_number,
        "sha256": details.sha256,
        "key": details.key,
        "notBefore": text(details.not_before),
        "notAfter": text(details.not_after),
        "source": str(certificate.facts.source),
        "pem": certificate.pem,
    }


def offered_block(offered: Offered, root: str) -> Wire:
    """Return what state keeps of a custom certificate that the definition offers; everything is public.

    Args:
        offered: its facts.
        root: PEM of its root.
    """
    return {
        "sha256": offered.sha256,
        "rootSha256": offered.root,
        "notBefore": text(offered.not_before),
        "notAfter": text(offered.not_after),
        "chain": offered.chain,
        "root": root,
    }


def offered_of(bundles: Wire) -> dict[Slot, Offered]:
    """Return the offers that :func:`offered_block` wrote, by slot."""
    found: dict[Slot, Offered] = {}
    for slot, block in _by_slot(bundles):
        found[slot] = Offered(
            sha256=str(block["sha256"]),
            root=str(block["rootSha256"]),
            not_before=_moment(block["notBefore"]),
            not_after=_moment(block["notAfter"]),
            chain=str(block.get("chain", "")),
        )
    return found


def roots_of(bundles: Wire) -> dict[str, str]:
    """Return the PEM of each root that state remembers, by its digest: of what is offered, and of what is in use."""
    kept = cast("dict[str, str]", bundles.get(_ROOTS, {}))
    return kept | {str(block["rootSha256"]): str(block["root"]) for _, block in _by_slot(bundles) if block["root"]}


def with_roots(bundles: Wire, before: Wire, used: Iterable[str]) -> Wire:
    """Return what state is to remember: *bundles*, and roots in use that no file of the definition has any more.

    Args:
        bundles: what the definition offers, by slot.
        before: what state remembered.
        used: digests of the roots of the custom certificates that are main or reserve.
    """
    missing = set(used) - roots_of(bundles).keys()
    kept = {digest: pem for digest, pem in sorted(roots_of(before).items()) if digest in missing}
    return {**bundles, _ROOTS: kept} if kept else bundles


def _by_slot(bundles: Wire) -> Iterator[tuple[Slot, Wire]]:
    for slot in Slot:
        if slot in bundles:
            yield slot, cast("Wire", bundles[slot])


def switch_block(switch: Switch, *, alarms: bool = True) -> Wire:
    """Return what should happen by itself as an output; :func:`switch_of` reads it back.

    Args:
        switch: what should happen.
        alarms: whether somebody is told of its alarms; without one they are left out.
    """
    promote = switch.promote
    return {
        "promote": None
        if promote is None
        else {
            "at": text(promote.at),
            "certificate": name_of(promote.certificate),
            "version": promote.version,
            "formerVersion": promote.former_version,
        },
        "overdue": _alarm_block(switch.overdue if alarms else None),
        "expiry": _alarm_block(switch.expiry if alarms else None),
    }


def _alarm_block(alarm: Alarm | None) -> Wire | None:
    return None if alarm is None else {"at": text(alarm.at), "message": alarm.message}


def switch_of(block: Wire) -> Switch:
    """Return the switch that :func:`switch_block` wrote."""
    promote = cast("Wire | None", block.get("promote"))
    return Switch(
        promote=None
        if promote is None
        else Promote(
            at=_moment(promote["at"]),
            certificate=int(str(promote["certificate"]).rpartition(" ")[2]),
            version=str(promote["version"]),
            former_version=str(promote["formerVersion"]),
        ),
        overdue=_alarm_of(cast("Wire | None", block.get("overdue"))),
        expiry=_alarm_of(cast("Wire | None", block.get("expiry"))),
    )


def _alarm_of(block: Wire | None) -> Alarm | None:
    return None if block is None else Alarm(at=_moment(block["at"]), message=str(block["message"]))


def _moment(value: object) -> datetime:
    return parsed_time(str(value))


def text(moment: datetime | None) -> str | None:
    """Return a moment as RFC 3339 text in UTC."""
    return None if moment is None else rfc3339(moment)
