"""Policies for the replacement of main: a valid main is replaced only on a request that names it (R13, R32)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.definition import InstallMain, IssueMain
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.policies.answers import fingerprint_digits, refusal
from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from ios_mdm.core.pair.situation import Situation

__all__ = [
    "REPLACED_UNSENT",
    "main_chain_changed",
    "main_replaced",
    "main_replacement_refused",
    "new_main_requested",
    "next_main_waits",
    "reinstallation_notice",
]

REPLACED_UNSENT = "replaced-unsent"
"""Reason code of the notice about a main that is replaced before devices were sent its successor."""


def main_replacement_refused(at: Situation) -> Notice | None:
    """R13, R32: a valid main is replaced only by its reserve, or on a request that names main."""
    wanted = at.definition.main
    if at.definition.replace_main:
        return _replacement_refusal(at)
    if isinstance(wanted, InstallMain):
        if not at.is_new(wanted.offered):
            return None
        if wanted.offered.sha256 == at.main.sha256:
            return refusal(
                "another-root",
                f"main.install offers certificate {at.main.ordinal}, which is main, under another root, but devices "
                f"trust main by its present root: put the former chain back into the file. {_replacement_advice(at)}",
            )
        return refusal(
            "main-is-valid",
            f"main.install offers the certificate {wanted.offered.sha256}, but main is certificate {at.main.ordinal} "
            f"and valid until {at.main.not_after:%Y-%m-%d %H:%M} UTC. Install it as the reserve: devices then trust it "
            f"before the switch. {_replacement_advice(at)}",
        )
    if wanted.generation == at.main_generation:
        return None
    return refusal(
        "main-is-valid",
        f"main.issue.generation was {at.main_generation} and must not change while main is valid (now "
        f"{wanted.generation}): set it back to {at.main_generation}. A valid main is replaced by its reserve: for an "
        "earlier switch, set `reserve.issue.when: now` and a small `reserve.issue.apply.afterDays`",
    )


def _replacement_refusal(at: Situation) -> Notice | None:
    confirmed = fingerprint_digits(at.definition.confirm_main)
    wanted = at.definition.main
    done = isinstance(wanted, InstallMain) and not at.is_new(wanted.offered)
    if done or confirmed in {at.main.sha256, at.observed.replaced} or at.was_main(confirmed):
        return None
    if confirmed in at.definition.distrust:
        return None  # the confirmed certificate was main, and was removed from the pair
    return refusal(
        "unconfirmed-main",
        f"main.replaceNow is set, but main.confirm is not the fingerprint of main. {_replacement_advice(at)}",
    )


def _replacement_advice(at: Situation) -> str:
    offered = at.definition.main.offered if isinstance(at.definition.main, InstallMain) else None
    same_root = offered is not None and offered.anchor == at.main.anchor
    count = at.definition.devices
    devices = "devices trust" if count is None else f"the {count} devices trust"
    trust = f"{devices} the root of the new main already"
    if not same_root:
        trust = f"{devices} the new main only after they get the next profile"
        trust += ", which is sent first" if at.definition.distributed else ""
    return (
        f"To replace certificate {at.main.ordinal} ({trust}), set `main.replaceNow: true` and "
        f"`main.confirm: {at.main.sha256}`"
    )


def main_replaced(at: Situation) -> Notice | None:
    """R32: `main.replaceNow` with the fingerprint of main replaces main, once.

    The request has no effect after main was replaced, even if an operator then moves the label back. Another file or
    generation is another request.
    """
    confirmed = fingerprint_digits(at.definition.confirm_main)
    if not at.definition.replace_main or confirmed != at.main.sha256:
        return None
    wanted = at.definition.main
    if isinstance(wanted, InstallMain) and not at.is_new(wanted.offered):
        return None
    if isinstance(wanted, IssueMain) and wanted.generation == at.main_generation and _replaced_before(at):
        return None
    return _replacement(at)


def _replaced_before(at: Situation) -> bool:
    """Return whether main was replaced on this request, and an operator moved the label back to it (R32)."""
    applied = at.observed.applied_main
    return at.observed.replaced == at.main.sha256 or (applied is not None and Label.MAIN not in applied.labels)


def _replacement(at: Situation) -> Notice:
    """Return the notice that says how the replacement of main affects the devices."""
    main, wanted, count = f"certificate {at.main.ordinal}", at.definition.main, at.definition.devices
    if next_main_waits(at):
        message = f"{main} is replaced by the next main, which is sent to the devices first"
        if at.definition.promotion.hold:
            message += ", and becomes main after promotion.hold is removed"
        elif at.staged_main is None:
            message += ", and becomes main as soon as the MDM server has accepted the profile"
        else:
            message += f": certificate {at.staged_main} is stored, but the MDM server has not accepted the profile yet"
        return Notice(reason="replaced", severity=Severity.WARNING, message=message)
    if at.definition.distributed and at.main.sha256 not in at.definition.distrust:
        trusted = isinstance(wanted, InstallMain) and wanted.offered.anchor == at.main.anchor
        why = "devices trust the root of the next main" if trusted else "devices were sent the next main"
        return Notice(reason="replaced", severity=Severity.NOTICE, message=f"{main} is replaced: {why}")
    if at.definition.distributed:
        devices = "all devices" if count is None else f"all {count} devices"
        message = (
            f"{main} is listed under distrust, so it is replaced before its successor is sent: {devices} lose their "
            "connection from the time the server presents the next main until they get the next profile"
        )
        return Notice(reason=REPLACED_UNSENT, severity=Severity.CRITICAL, message=message)
    return Notice(
        reason="replaced",
        severity=Severity.CRITICAL,
        message=f"{main} is replaced at once: devices that do not trust the next main when the server presents it lose "
        "their connection" + ("" if count is None else f"; {count} devices must trust it"),
    )


def next_main_waits(at: Situation) -> bool:
    """R15, R32: whether the next main must be sent to the devices before it is applied.

    The next main is applied at once in three cases: it has main's root, which devices trust already; the definition
    distrusts main; or the definition has no distribution.
    """
    if not at.definition.distributed or at.main.sha256 in at.definition.distrust:
        return False
    wanted = at.definition.main
    if isinstance(wanted, InstallMain) and wanted.offered.anchor == at.main.anchor:
        return False
    return at.definition.promotion.hold or not at.observed.is_sent(at.staged_main)


def main_chain_changed(at: Situation) -> Notice | None:
    """R20: a custom main with a renewed intermediate CA is installed again; certificate, key, root and trust stay."""
    wanted = at.definition.main
    if not isinstance(wanted, InstallMain) or not at.is_rechained(wanted.offered, at.main):
        return None
    return Notice(
        reason="another-chain",
        severity=Severity.NOTICE,
        message=f"the chain of certificate {at.main.ordinal} has changed: the certificate is installed again with the "
        "same key, and devices trust it as before",
    )


def new_main_requested(at: Situation) -> bool:
    """R13: an expired main without a successor is replaced only on request, or if a run has begun to replace it."""
    staged = at.observed.holder(Label.STAGED)
    started = at.staged_main is not None and staged is not None and staged.role is Role.MAIN
    wanted = at.definition.main
    asked = wanted.generation > at.main_generation if isinstance(wanted, IssueMain) else at.is_new(wanted.offered)
    return asked or started


def reinstallation_notice() -> Notice:
    """R13: return the notice about the devices of a pair whose connection is lost."""
    return Notice(
        reason="reinstall",
        severity=Severity.CRITICAL,
        message="no device trusts a certificate that it has never seen: every device must get its management profile "
        "reinstalled",
    )
