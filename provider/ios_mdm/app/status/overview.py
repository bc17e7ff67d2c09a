"""Collects the data of ``status``: the pair, its next change, and its device coverage. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, cast

from ios_mdm.app.devices import devices_file
from ios_mdm.app.given_arns import check_given_arns, given_findings
from ios_mdm.app.pair.identity import check_copy
from ios_mdm.app.pair.reader import PairReader
from ios_mdm.app.reenrollment import reenrollment_notice
from ios_mdm.app.references import check_api_key
from ios_mdm.app.status.coverage import Distribution, distribution
from ios_mdm.app.status.lost import PlannedSwitch
from ios_mdm.app.status.prospect import SwitchProspect
from ios_mdm.app.status.scheduled import failed_calls, is_scheduled
from ios_mdm.app.stored_definition import existing_pair, stored_definition
from ios_mdm.app.switch_reader import SwitchReader
from ios_mdm.app.switch_request import made_switch_request
from ios_mdm.core.connection.readiness import certificate_notices, endpoint_readiness
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import Notice, Phase, Severity
from ios_mdm.core.pair.definition import IssueReserve, Slot, When
from ios_mdm.core.pair.encryption import key_notices
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import Issue, MoveLabel, Restore, Setting, next_step, step_description
from ios_mdm.core.pair.switch import switch
from ios_mdm.core.pair.windows import critical_time, reserve_time
from ios_mdm.core.times import shifted_time
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.core.x509.details import details
from ios_mdm.core.x509.issuing import is_issued
from ios_mdm.core.x509.pem import chain as certificates_of
from ios_mdm.errors import DefinitionError, IosMdmError, StoreError
from ios_mdm.parallel import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import Self

    from ios_mdm.core.connection.readiness import EndpointReadiness
    from ios_mdm.core.pair.decision import DesiredState
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion
    from ios_mdm.core.pair.steps import Step
    from ios_mdm.core.x509.values import CertificateDetails
    from ios_mdm.ports import Clock, GivenResources, Ledger, Prerequisites, Probe, Scheduler, SecretStore
    from ios_mdm.settings import AwsSettings, DistributionSettings, PromotionSettings, ServerSettings

__all__ = ["Certificate", "Level", "Overview", "Sources", "overview"]

_DAY = timedelta(days=1)


class Level(IntEnum):
    """Level of an overview, in ascending order. A critical notice is worse than an unknown state."""

    OK = 0
    WARNING = 1
    UNKNOWN = 2
    CRITICAL = 3

    @classmethod
    def of(cls, notices: Iterable[Notice]) -> Self:
        """Return the worst level of these notices."""
        return max((cls[_LEVELS[notice.severity]] for notice in notices), default=cls["OK"])


_LEVELS = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "WARNING", Severity.NOTICE: "OK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate in a slot (R14).

    Args:
        ordinal: number of the certificate in its pair.
        source: issued or installed.
        sha256: fingerprint, 64 hex digits.
        not_before: start of validity, aware UTC.
        not_after: end of validity, inclusive, aware UTC.
        days_left: whole days until the end of validity; 0 after it.
        details: details of the certificate; None if it could not be read: the other fields are then from its tag.
    """

    ordinal: int
    source: Source
    sha256: str
    not_before: datetime
    not_after: datetime
    days_left: int
    details: CertificateDetails | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Status of one server's pair.

    Args:
        name: name of the server.
        address: connection address of the server.
        problem: error that made the status incomplete; None if there is none. The other fields then have only the data
            that was read before the error.
        phase: current phase, before the next ``up``; None if unknown.
        main: main certificate; None if there is none, or if it could not be read and has no facts tag.
        reserve: reserve certificate; None as for *main*.
        apply_at: apply time of the reserve, aware UTC; None if there is no reserve.
        notices: notices for the user.
        endpoints: verdict about each endpoint that was checked (R48).
        distribution: coverage of the profile; None if the definition has no distribution.
        due: next change and its time, as a text.
        scheduled: whether schedules promote the reserve; None if unknown, or if no promotion is planned.
        prospect: data about the next switch; None if the status is incomplete.
        now: time of the status, aware UTC.
    """

    name: str
    address: str
    problem: str | None = None
    phase: Phase | None = None
    main: Certificate | None = None
    reserve: Certificate | None = None
    apply_at: datetime | None = None
    notices: tuple[Notice, ...] = ()
    endpoints: tuple[EndpointReadiness, ...] = ()
    distribution: Distribution | None = None
    due: str = ""
    scheduled: bool | None = None
    prospect: SwitchProspect | None = None
    now: datetime

    @property
    def level(self) -> Level:
        """The worst level of the notices and the problem."""
        return max(Level.of(self.notices), Level.OK if self.problem is None else Level.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The ports that ``status`` reads from.

    Args:
        store: stores the pairs.
        scheduler: has the schedules of the pairs.
        prerequisites: has the role and the queue of the schedules.
        given: checks whether the role, the queue and the topic that a definition names exist.
        probe: reports the certificates that endpoints present.
        clock: read once for each server.
        ledger: returns the ledger for a URL.
    """

    store: SecretStore
    scheduler: Scheduler
    prerequisites: Prerequisites
    given: GivenResources
    probe: Probe
    clock: Clock
    ledger: Callable[[str], Ledger]


def overview(
    server: ServerSettings, aws: AwsSettings, sources: Sources, *, base: Path, checks_alarms: bool = False
) -> Overview:
    """Return the status of a server. An error is a field of the status and is not raised.

    Args:
        server: settings of the server.
        aws: settings of AWS.
        sources: ports to read from.
        base: folder of the project.
        checks_alarms: whether the alarms are checked, too, which needs more calls of AWS.
    """
    now, store = sources.clock.now(), sources.store
    found = Overview(name=server.name, address=server.address, now=now)
    secret = aws.secret_name(server.name)
    try:
        service = PairReader(store, sources.clock, probe=sources.probe)
        pair = existing_pair(service.observe(secret), secret, server.host)
        if pair.identity is not None:
            check_copy(pair.identity, Home.of_arn(pair.arn), secret, server.moved_from)
        pair = replace(pair, served=service.served_certificates(pair, server.host, server.checked_endpoints))
    except IosMdmError as error:
        return replace(found, problem=str(error))
    public = _Public(store, secret)
    reads: list[Callable[[], object]] = [
        partial(public.read, pair.main),
        partial(public.read, pair.reserve),
        partial(failed_calls, server.name, secret, server.promotion, sources.prerequisites),
        partial(_decision, server, aws, sources, pair, now, checks_alarms=checks_alarms),
    ]
    *_, failed, decided = run_concurrently(reads)
    endpoints = tuple(endpoint_readiness(one, host=server.host, now=now) for one in pair.served)
    found = replace(
        found,
        main=public.certificate(pair.main, now),
        reserve=public.certificate(pair.reserve, now),
        endpoints=endpoints,
    )
    try:
        decision = cast("_Decision", decided.result())
    except IosMdmError as error:
        return replace(found, problem=str(error))
    wanted = decision.wanted
    failures = cast("Sequence[Notice]", failed.result())
    notices = [*decision.notices, *certificate_notices(endpoints), *public.notices]
    notices += [*decision.switch_notices, *failures]
    plan = _planned_switch(wanted, pair, public.chain(pair.reserve), now)
    if server.distribution is not None:
        chains = [
            chain
            for ordinal in wanted.trusted_ordinals
            if (chain := public.chain(pair.version_of(ordinal))) is not None
        ]
        complete = len(chains) == sum(pair.version_of(ordinal) is not None for ordinal in wanted.trusted_ordinals)
        delivered, said = distribution(
            server,
            pair,
            chains if complete else [],
            sources.ledger,
            base=base,
            now=now,
            switch=plan,
        )
        found = replace(found, distribution=delivered)
        notices += [*said, *_api_key_notices(store, server.distribution)]
        if wanted.phase is Phase.CONNECTION_LOST and delivered.fleet is not None:
            lost = delivered.fleet.ids
            notices.append(
                reenrollment_notice(server.name, lost, base=base, device_file=devices_file(server.distribution))
            )
    return replace(
        found,
        phase=_phase(pair, wanted, decision.definition, now),
        apply_at=wanted.apply_at if pair.reserve is not None else None,
        notices=tuple(notices),
        due=_due(decision.definition, pair, wanted, decision.step),
        scheduled=decision.scheduled,
        prospect=SwitchProspect(settings=server, plan=plan, gate=wanted.gate, main_chain=public.chain(pair.main)),
    )


def _planned_switch(wanted: DesiredState, pair: ObservedPair, chain: str | None, now: datetime) -> PlannedSwitch | None:
    """Return the next promotion of the reserve; None if there is none, or if the reserve cannot be read.

    Args:
        wanted: desired state.
        pair: observed state of the pair.
        chain: the reserve with its issuers and root, PEM; None if it cannot be read.
        now: current time, aware UTC: time of a promotion that is overdue.
    """
    reserve = None if pair.reserve is None else pair.reserve.ordinal
    at = wanted.apply_at if wanted.reserve == reserve else now if wanted.main == reserve else None
    if reserve is None or chain is None or at is None:
        return None
    return PlannedSwitch(certificate=reserve, at=at, chain=chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """The desired state of a pair, and the result of the checks of its switch.

    Args:
        definition: definition of the pair.
        wanted: desired state.
        step: next step of ``up``; None if nothing is pending.
        notices: notices about the pair.
        switch_notices: notices about the switch.
        scheduled: whether schedules promote the reserve; None as in ``Overview``.
    """

    definition: PairDefinition
    wanted: DesiredState
    step: Step | None
    notices: tuple[Notice, ...]
    switch_notices: tuple[Notice, ...]
    scheduled: bool | None


def _decision(
    server: ServerSettings,
    aws: AwsSettings,
    sources: Sources,
    pair: ObservedPair,
    now: datetime,
    *,
    checks_alarms: bool,
) -> _Decision:
    definition = stored_definition(server, pair)
    wanted = desired_state(definition, pair, now)
    step = next_step(wanted, pair, _setting(definition, pair, aws))
    notices = [
        *wanted.notices,
        *key_notices(wanted, pair, aws.kms_key),
        *_pending_notices(definition, pair, step, now),
    ]
    scheduled, switch_notices = None, tuple[Notice, ...]()
    if step is None:
        request = made_switch_request(
            server.promotion,
            server=server.name,
            secret=aws.secret_name(server.name),
            secret_arn=pair.arn,
            switch=switch(definition, wanted, pair),
            distributed=False,  # so that a reserve that is not scheduled because it was not sent is reported
        )
        reader = SwitchReader(sources.scheduler, sources.prerequisites, sources.clock)
        scheduled, said = is_scheduled(reader, request, pair, now=now, checks_alarms=checks_alarms)
        switch_notices = (*said, *_given_notices(server.promotion, pair, sources.given))
    return _Decision(
        definition=definition,
        wanted=wanted,
        step=step,
        notices=tuple(notices),
        switch_notices=switch_notices,
        scheduled=scheduled,
    )


def _given_notices(promotion: PromotionSettings, pair: ObservedPair, resources: GivenResources) -> Sequence[Notice]:
    """Report problems of the role, the queue and the topic that the definition names."""
    try:
        check_given_arns(promotion, Home.of_arn(pair.arn))
    except DefinitionError as error:
        return [Notice(reason="elsewhere", severity=Severity.WARNING, message=line) for line in str(error).splitlines()]
    found = given_findings(promotion, resources)
    missing = [Notice(reason="missing", severity=Severity.WARNING, message=one) for one in found.missing]
    return [*missing, *(Notice(reason="unchecked", severity=Severity.NOTICE, message=one) for one in found.unchecked)]


def _api_key_notices(store: SecretStore, settings: DistributionSettings) -> Sequence[Notice]:
    """Report an API key that cannot be used for its URL, so that no profile can be sent."""
    key = settings.channel.chosen.key
    if key is None:
        return ()
    try:
        check_api_key(store, key)
    except DefinitionError as error:
        return (Notice(reason="api-key-unusable", severity=Severity.WARNING, message=str(error)),)
    except IosMdmError as error:
        message = f"the use of the API key could not be checked: {error}"
        return (Notice(reason="api-key-unchecked", severity=Severity.NOTICE, message=message),)
    return ()


class _Public:
    """Reads the public part of a secret's versions, each at most once. Private keys are dropped after the read."""

    def __init__(self, store: SecretStore, secret: str) -> None:
        self._store = store
        self._secret = secret
        self._chains: dict[str, str | StoreError] = {}
        self.notices: list[Notice] = []

    def read(self, version: StoredVersion | None) -> None:
        """Read a version, so that :meth:`chain` does not call AWS. Several threads can read different versions."""
        if version is not None:
            self._chains[version.version_id] = self._read(version)

    def chain(self, version: StoredVersion | None) -> str | None:
        """Return leaf, issuers and root as PEM; None if the version does not exist or cannot be read."""
        if version is None:
            return None
        if version.version_id not in self._chains:
            self.read(version)
        chain = self._chains[version.version_id]
        if isinstance(chain, str):
            return chain
        self._warn(f"certificate {version.ordinal or version.version_id} cannot be read: {chain}")
        return None

    def certificate(self, version: StoredVersion | None, now: datetime) -> Certificate | None:
        """Return the certificate of a version (R14), from its facts tag if the version cannot be read."""
        if version is None or version.ordinal is None:
            return None
        chain, facts = self.chain(version), version.facts
        read = None if chain is None else details(chain)
        known: CertificateDetails | CertificateFacts | None = read or facts
        if known is None:
            return None
        if read is not None and facts is not None and read.sha256 != facts.sha256:
            self._warn(
                f"the facts tag of certificate {version.ordinal} does not match the certificate: the tag was changed. "
                "Remove it, and the next `pulumi up` writes it again from the certificate"
            )
        return Certificate(
            ordinal=version.ordinal,
            source=_source(chain) if facts is None else facts.source,
            sha256=known.sha256,
            not_before=known.not_before,
            not_after=known.not_after,
            days_left=max(shifted_time(known.not_after, timedelta(seconds=1)) - now, timedelta()).days,
            details=read,
        )

    def _read(self, version: StoredVersion) -> str | StoreError:
        try:
            value = self._store.read(self._secret, version.version_id)
            if value is None:
                return StoreError("the version no longer exists")
            return credential_from_json(value, where=f"version {version.version_id}").chain
        except StoreError as error:
            return error

    def _warn(self, message: str) -> None:
        notice = Notice(reason="unreadable", severity=Severity.WARNING, message=message)
        if notice not in self.notices:
            self.notices.append(notice)


def _source(chain: str | None) -> Source:
    """Return the source of a certificate without a facts tag, by its form."""
    issued = chain is not None and is_issued(certificates_of(chain))
    return Source.ISSUED if issued else Source.INSTALLED


def _setting(definition: PairDefinition, pair: ObservedPair, aws: AwsSettings) -> Setting:
    """Return the settings that the secret should record. The recorded owner is kept: ``status`` has no stack."""
    reserve = definition.reserve
    return Setting(
        owner=pair.owner or "",
        host=definition.host,
        tags=aws.tags,
        main_generation=definition.issue.generation,
        reserve_generation=reserve.generation if isinstance(reserve, IssueReserve) else 1,
        kms_key=aws.kms_key,
    )


def _pending_notices(
    definition: PairDefinition, pair: ObservedPair, step: Step | None, now: datetime
) -> Sequence[Notice]:
    """Report pending changes of ``pulumi up``, for monitoring, which cannot run a preview."""
    if step is None:
        return ()
    stored = isinstance(step, Issue | Restore) and not _is_due_today(definition, pair, step, now)
    urgent = stored or (isinstance(step, MoveLabel) and step.to is not None)
    lost = pair.main is not None and pair.main.facts is not None and now >= expiry(pair.main.facts)
    severity = Severity.CRITICAL if urgent and lost else Severity.WARNING if urgent else Severity.NOTICE
    return (
        Notice(
            reason="up-due",
            severity=severity,
            message=f"`pulumi up` has pending changes; next: {step_description(step)}",
        ),
    )


def _is_due_today(definition: PairDefinition, pair: ObservedPair, step: Step, now: datetime) -> bool:
    """Return whether *step* issues an automatic reserve that the next daily run still issues in time (R49)."""
    main, wanted = pair.main, definition.reserve or IssueReserve()
    if not isinstance(step, Issue) or step.request.slot is not Slot.RESERVE or main is None or main.facts is None:
        return False
    if not isinstance(wanted, IssueReserve) or wanted.when is not When.AUTO:
        return False
    return now < reserve_time(wanted, main.facts) + _DAY


def _phase(pair: ObservedPair, wanted: DesiredState, definition: PairDefinition, now: datetime) -> Phase:
    """Return the current phase of the pair; *wanted* has the phase after the next ``up``."""
    main, reserve = pair.main, pair.reserve
    if reserve is not None and reserve.ordinal == wanted.main:
        return Phase.OVERDUE
    if (
        main is None
        or main.facts is None
        or (wanted.main == main.ordinal and (not wanted.requests or wanted.next_main is not None))
    ):
        return wanted.phase
    if now >= expiry(main.facts):
        return Phase.CONNECTION_LOST
    return Phase.EXPIRING if now >= critical_time(definition, main.facts) else Phase.STEADY


def _due(definition: PairDefinition, pair: ObservedPair, wanted: DesiredState, step: Step | None) -> str:
    """Return the next change of the pair and its time, as a text."""
    if step is not None:
        return f"now, by `pulumi up`: {step_description(step)}"
    if wanted.next_main is not None:
        held = ", after promotion.hold is removed" if definition.promotion.hold else ""
        return f"now, by `pulumi up`: send certificate {wanted.next_main} to the devices, then make it main{held}"
    if wanted.apply_at is not None and wanted.reserve is not None:
        held = ", unless promotion.hold is still set" if definition.promotion.hold else ""
        return f"{wanted.apply_at:%Y-%m-%d %H:%M} UTC: certificate {wanted.reserve} becomes main{held}"
    main = pair.holder(Label.MAIN)
    if main is None or main.facts is None:
        return "unknown"
    if wanted.reserve_at is not None:
        return f"{wanted.reserve_at:%Y-%m-%d %H:%M} UTC: a reserve is issued"
    return f"{expiry(main.facts):%Y-%m-%d %H:%M} UTC: main expires, and no reserve is issued automatically"
