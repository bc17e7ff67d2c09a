"""The life of a custom pair whose administrator renews its certificate, on a model of the secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.app.pair.values import PairRequest
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.definition import (
    AfterCurrentExpires,
    AfterDays,
    InstallMain,
    InstallReserve,
    OfferedCertificate,
    PairDefinition,
)
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import next_step
from tests.support.model_pair import SECRET, Secret, carried_out, observe, with_label_moved
from tests.support.pairs import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.pair.decision import DesiredState, Notice
    from ios_mdm.core.pair.definition import ApplyTime
    from ios_mdm.core.pair.facts import CertificateFacts

__all__ = ["Run", "custom_life", "interval", "renewed_certificate"]

START = datetime(2040, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run.

    Args:
        at: Time of the run.
        main: Facts of main after the run.
        notices: Notices of the run before its effects, and after them.
    """

    at: datetime
    main: CertificateFacts
    notices: tuple[Notice, ...]


def renewed_certificate(number: int, *, issued: datetime, days: int) -> OfferedCertificate:
    """Return the certificate with this number from a public CA: all have the same root."""
    return OfferedCertificate(
        sha256=f"c{number:063x}",
        root="d" * 64,
        not_before=issued,
        not_after=issued + days * _DAY - _SECOND,
        chain=f"{number:016x}",
    )


def interval(days: int) -> timedelta:
    """Return the time between two runs: a day for short lives. For long ones, daily runs take a test too long."""
    return timedelta(days=1 if days <= 100 else days // 40)


def custom_life(days: int, *, length: timedelta, renewals: int, left: timedelta) -> Iterator[Run]:
    """Yield the runs in the life of a custom pair. AWS promotes a reserve that is due before the next run.

    The administrator gets each next certificate when main has *left* of its validity, or less. Certificates that are
    valid for more than 100 days always have a reserve: each is applied before half of its validity is over.

    Args:
        days: Validity of each certificate, in days.
        length: Length of the life.
        renewals: Number of certificates after the first one.
        left: Time before the expiry of main.
    """
    is_short = days <= 100
    apply: ApplyTime = AfterCurrentExpires() if is_short else AfterDays(days=days // 2 - 1 - interval(days).days)
    first = renewed_certificate(1, issued=START, days=days)
    reserve: OfferedCertificate | None = None
    secret: Secret | None = None
    wanted: DesiredState | None = None
    count = 0
    for number in range(length // interval(days)):
        now = START + number * interval(days)
        if secret is not None and wanted is not None:
            secret = _after_schedule(secret, wanted, now)
        main = None if secret is None else _main(secret)
        waits = reserve is not None and (main is None or main.sha256 != reserve.sha256)
        is_time = not is_short or (main is not None and now >= expiry(main) - left)
        if count < renewals and is_time and not waits:
            count += 1
            reserve = renewed_certificate(count + 1, issued=now, days=days)
        definition = PairDefinition(
            name="berlin",
            host="mdm.example.com",
            main=InstallMain(offered=first),
            reserve=None if reserve is None else InstallReserve(offered=reserve, apply=apply),
        )
        decided = desired_state(definition, observe(secret), now)
        secret, wanted = _after_run(secret, definition, now)
        yield Run(at=now, main=_main(secret), notices=(*decided.notices, *wanted.notices))


def _main(secret: Secret) -> CertificateFacts:
    observed = observe(secret)
    assert observed is not None
    assert observed.main is not None
    assert observed.main.facts is not None
    return observed.main.facts


def _after_schedule(secret: Secret, wanted: DesiredState, now: datetime) -> Secret:
    """Return the secret after the schedule of a promotion that is due."""
    if wanted.apply_at is None or wanted.reserve is None or now < wanted.apply_at:
        return secret
    return with_label_moved(secret, Label.MAIN, to=wanted.reserve, current=wanted.main)


def _after_run(secret: Secret | None, definition: PairDefinition, now: datetime) -> tuple[Secret, DesiredState]:
    setting = PairRequest(definition=definition, secret=SECRET, owner=OWNER, tags={}).setting(None, None)
    held = secret or Secret(tags=(), deleted=False)
    observed = None if secret is None else observe(secret)
    for _ in range(60):
        wanted = desired_state(definition, observed, now)
        step = next_step(wanted, observed, setting)
        if step is None:
            return held, wanted
        held = carried_out(held, step, observed=observed, now=now)
        observed = observe(held)
    raise AssertionError("after 60 steps there are still pending steps")
