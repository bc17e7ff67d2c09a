"""Where the core meets the ports: brings a pair to what it should be, one verified effect after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from provider.core.decision import InstallRequest
from provider.core.definition import IssueReserve
from provider.core.layout import (
    HIGHEST_TAG,
    MAIN_GENERATION_TAG,
    OWNER_TAG,
    RESERVE_SINCE_TAG,
    facts_tag,
    facts_value,
    moment_value,
    observed_pair,
    version_id,
)
from provider.core.lifecycle import desired
from provider.core.model import Label, Role, Source
from provider.core.schedule import Kind, Switch, names, plans, switch
from provider.core.steps import Create, Install, Issue, MoveLabel, RecordFacts, Restore, Setting, Tag, Untag, next_step
from provider.errors import DefinitionError, LabelMovedError, OwnershipError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from provider.core.decision import Desired, Request
    from provider.core.definition import PairDefinition
    from provider.core.model import (
        CertificateDetails,
        CertificateFacts,
        Credential,
        ObservedPair,
        Served,
        StoredVersion,
    )
    from provider.core.steps import Step
    from provider.ports import Clock, Probe, Scheduler, SecretStore

__all__ = ["PairRequest", "PairResult", "PairService", "PairView", "PublicCertificate"]

MAX_STEPS = 60
"""A pair is at most some twenty effects away from what it should be; more means that somebody undoes them."""
MAX_SKEW = timedelta(minutes=5)
SETTLE_SECONDS = 20.0
"""How long AWS may take to show what was just written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """One server's pair, and where it is kept.

    Args:
        definition: what the user wants.
        secret: name of the pair's secret.
        owner: organization/project/stack.
        take_over: adopt a secret that another stack owns.
        known: True where Pulumi's state knows the pair already: its secret is then ours even without an owner tag.
        tags: the user's own, for the secret.
        kms_key: that the secret is created with; None for the account's default.
        endpoints: where to look what the server presents; empty for nowhere.
        offered: gives the custom certificates that the definition offers, by the fingerprint of their leaf.
    """

    definition: PairDefinition
    secret: str
    owner: str
    take_over: bool = False
    known: bool = False
    tags: Mapping[str, str]
    kms_key: str | None = None
    endpoints: tuple[str, ...] = ()
    offered: Mapping[str, Callable[[], Credential]] = field(default_factory=dict)

    @property
    def setting(self) -> Setting:
        """What the secret is to carry beside its certificates."""
        reserve = self.definition.reserve
        return Setting(
            owner=self.owner,
            host=self.definition.host,
            tags=self.tags,
            main_generation=self.definition.issue.generation,
            reserve_generation=reserve.generation if isinstance(reserve, IssueReserve) else 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A pair as it is and as it should be.

    Args:
        observed: as it is, None where its secret does not exist.
        desired: as it should be.
        step: the next effect; None where nothing is to be done.
        now: the moment of the decision.
    """

    observed: ObservedPair | None
    desired: Desired
    step: Step | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCertificate:
    """The public part of a certificate of a pair.

    Args:
        facts: its tag's content.
        details: what R14 shows.
        pem: leaf, issuers and root.
    """

    facts: CertificateFacts
    details: CertificateDetails
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """A pair that is what it should be.

    Args:
        view: of it.
        certificates: main, reserve and the former mains that devices still trust, by ordinal.
        switch: what should happen to it with nobody running anything.
    """

    view: PairView
    certificates: Mapping[int, PublicCertificate]
    switch: Switch


class PairService:
    """Looks at pairs and brings them to what they should be.

    Args:
        store: where pairs are kept.
        clock: tells the moment; read once for each call, so that one call has one ``now``.
        scheduler: holds the schedule that promotes; None where nothing is scheduled.
        probe: looks at what servers present; None where nobody looks.
        report: takes a line of progress.
        rehearsal: True where the clock is set by hand and cannot be held against AWS's.
    """

    def __init__(
        self,
        store: SecretStore,
        clock: Clock,
        *,
        scheduler: Scheduler | None = None,
        probe: Probe | None = None,
        report: Callable[[str], None] = lambda _line: None,
        rehearsal: bool = False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._probe = probe
        self._report = report
        self._rehearsal = rehearsal

    def now(self) -> datetime:
        """Return the moment, aware UTC, whole seconds."""
        return self._clock.now()

    def observe(self, secret: str) -> ObservedPair | None:
        """Return the pair in *secret*, None where AWS says that there is no such secret. Needs no GetSecretValue."""
        description = self._store.describe(secret)
        if description is None:
            return None
        # Only where the tag is lost: a caller without ListSecretVersionIds can preview an intact pair.
        lost = HIGHEST_TAG not in description.tags and bool(description.labels)
        return observed_pair(secret, description, self._store.version_ids(secret) if lost else ())

    def look(self, request: PairRequest) -> PairView:
        """Return the pair as it is and as it should be; writes nothing.

        Raises:
            OwnershipError: The secret belongs to somebody else.
            DefinitionError: The definition asks for what must not be done to this pair.
            StoreError: AWS did not answer.
        """
        observed = self.observe(request.secret)
        _check_ours(request, observed)
        if observed is not None:
            observed = replace(observed, served=self.served(observed, request.definition.host, request.endpoints))
        now = self._clock.now()
        wanted = desired(request.definition, observed, now)
        step = next_step(wanted, observed, request.setting)
        return PairView(observed=observed, desired=wanted, step=step, now=now)

    def apply(self, request: PairRequest) -> PairResult:
        """Bring the pair to what it should be, and return it.

        A call that dies between two effects is continued by the next one. Raises as :meth:`look`, and:

        Raises:
            StoreError: A version does not hold what its facts say, or AWS and this machine disagree about the time.
        """
        now = self._clock.now()
        served: tuple[Served, ...] | None = None
        begins = True
        for _ in range(MAX_STEPS):
            observed = self.observe(request.secret)
            _check_ours(request, observed)
            if observed is not None and served is None:
                served = self.served(observed, request.definition.host, request.endpoints)
            seen = None if observed is None else replace(observed, served=served or ())
            wanted = desired(request.definition, seen, now)
            step = next_step(wanted, seen, request.setting)
            if begins:
                self._take_back(request, wanted, observed)
            if step is None:
                view = PairView(observed=seen, desired=wanted, step=None, now=now)
                return self._result(request, view)
            if begins:
                self._check_clock()
            begins = False
            try:
                self._perform(request, observed, step)
            except LabelMovedError:
                # Another run, or the schedule, was quicker. What it did is where this one goes on.
                self._report(f"{request.secret} was changed by somebody else meanwhile; looking again")
            self._settle(request.secret, observed, step)
        raise StoreError(
            f"secret {request.secret}: after {MAX_STEPS} effects the pair is not what it should be: something else "
            "changes it at the same time. Look for another run or a rotation of this secret, then run again"
        )

    def served(self, observed: ObservedPair, host: str, endpoints: Sequence[str]) -> tuple[Served, ...]:
        """Look at what the server presents, where there is a main that it could present."""
        if self._probe is None or not endpoints or observed.deleted:
            return ()
        if observed.main is None or observed.main.facts is None:
            return ()
        return self._probe.served(host, endpoints)

    def _take_back(self, request: PairRequest, wanted: Desired, observed: ObservedPair | None) -> None:
        """Delete a schedule that would promote what must not be promoted, or earlier than it should be.

        Before anything else: a run that dies on the way must not leave a promotion of a reserve that is about to go,
        and `promotion.hold` works even where the MDM server is down. What should be scheduled, is so at the end.
        """
        if self._scheduler is None or observed is None:
            return
        name = names(request.definition.name, request.secret)[Kind.PROMOTE]
        found = self._scheduler.get(name)
        if found is None:
            return
        promote = switch(request.definition, wanted, observed).promote
        if promote is None or not plans(found, promote, observed.arn):
            self._report(f"the promotion that was scheduled for {found.at:%Y-%m-%d %H:%M} UTC is taken back")
            self._scheduler.delete(name)

    def _result(self, request: PairRequest, view: PairView) -> PairResult:
        assert view.observed is not None  # noqa: S101 - a pair that is what it should be exists
        return PairResult(
            view=view,
            certificates=self._certificates(request.secret, view),
            switch=switch(request.definition, view.desired, view.observed),
        )

    def delete(self, secret: str, owner: str, *, recovery_window_days: int) -> bool:
        """Schedule the secret's deletion; False where it is left alone because it is gone, or another stack's now."""
        observed = self.observe(secret)
        if observed is None or observed.deleted or observed.owner not in {None, owner}:
            return False
        self._store.delete(secret, recovery_window_days=recovery_window_days)
        return True

    def _check_clock(self) -> None:
        """Hold the clock against AWS's before an effect: a certificate with wrong dates is no use to anybody."""
        if self._rehearsal:
            return
        skew = self._clock.now() - self._store.time()
        if abs(skew) > MAX_SKEW:
            raise StoreError(
                f"this machine's clock is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} AWS's: "
                "set it right (NTP), then run again"
            )

    def _settle(self, secret: str, before: ObservedPair | None, step: Step) -> None:
        """Wait until AWS shows the effect: reads after writes may be stale, and the next step is decided from one."""
        try:
            Retrying(
                retry=retry_if_result(lambda after: after == before),
                wait=wait_exponential(multiplier=0.1, max=2),
                stop=stop_after_delay(SETTLE_SECONDS),
            )(self.observe, secret)
        except RetryError:
            raise StoreError(
                f"secret {secret}: AWS does not show the effect of {type(step).__name__} after {SETTLE_SECONDS:.0f} "
                "seconds: run again"
            ) from None

    def _perform(self, request: PairRequest, observed: ObservedPair | None, step: Step) -> None:
        store, secret = self._store, request.secret
        match step:
            case Create():
                description = f"TLS certificate pair of the iOS MDM server {request.definition.name}"
                store.create(secret, tags=step.tags, description=description, kms_key=request.kms_key)
            case Restore():
                self._report(f"{secret} was scheduled for deletion and is restored")
                store.restore(secret)
            case Issue():
                self._issue(request, observed, step)
            case Install():
                self._install(request, observed, step)
            case RecordFacts():
                self._record(request, observed, step)
            case MoveLabel():
                self._move(secret, step)
            case Tag():
                store.tag(secret, step.tags)
            case Untag():
                store.untag(secret, step.keys)

    def _issue(self, request: PairRequest, observed: ObservedPair | None, step: Issue) -> None:
        from provider.core.certificates import credential_to_json  # noqa: PLC0415 - cryptography only where needed
        from provider.core.issuing import issue  # noqa: PLC0415 - the same

        wanted = step.request
        version = version_id(request.secret, wanted.ordinal)
        if self._adopted(request.secret, version, observed):
            return
        self._report(f"issuing certificate {wanted.ordinal} ({wanted.role}, {wanted.key}, {wanted.validity_days} days)")
        main = None if observed is None or observed.main is None else observed.main.facts
        credential = issue(
            request.definition.host,
            key=wanted.key,
            validity_days=wanted.validity_days,
            now=self._clock.now(),
            # R8, held once more where the certificate is made.
            longest=main.not_after - main.not_before if main is not None and wanted.role is Role.RESERVE else None,
        )
        self._store.put(request.secret, version, credential_to_json(credential))

    def _install(self, request: PairRequest, observed: ObservedPair | None, step: Install) -> None:
        from provider.core.certificates import credential_to_json  # noqa: PLC0415 - cryptography only where needed

        wanted = step.request
        version = version_id(request.secret, wanted.ordinal)
        if self._adopted(request.secret, version, observed):
            return
        self._report(f"installing certificate {wanted.ordinal} ({wanted.role}), {wanted.offered.sha256}")
        credential = request.offered[wanted.offered.sha256]()
        if not _fulfils(credential, request.definition.host, wanted):
            raise DefinitionError(
                f"{wanted.role}.install: the file has changed since it was checked, when its certificate was "
                f"{wanted.offered.sha256} and is {credential.sha256} now, or its chain was another one: run again"
            )
        self._store.put(request.secret, version, credential_to_json(credential))

    def _adopted(self, secret: str, version: str, observed: ObservedPair | None) -> bool:
        """Take up the version that an interrupted run has stored; return whether there is one."""
        if self._store.read(secret, version) is None:
            return False
        holder = None if observed is None else observed.holder(Label.STAGED)
        current = None if holder is None else holder.version_id
        self._store.move_label(secret, Label.STAGED, to=version, current=current)
        return True

    def _record(self, request: PairRequest, observed: ObservedPair | None, step: RecordFacts) -> None:
        from provider.core.certificates import facts  # noqa: PLC0415 - cryptography only where needed

        credential = self._credential(request.secret, step.version_id)
        found = facts(credential, ordinal=step.ordinal, source=_source(credential, step), generation=step.generation)
        role = step.role
        tags = {HIGHEST_TAG: str(max(step.highest, step.ordinal))}
        if step.request is not None:
            if not _fulfils(credential, request.definition.host, step.request):
                role = Role.DELETED
            elif role is Role.MAIN:
                tags[MAIN_GENERATION_TAG] = str(step.generation)
            elif isinstance(step.request, InstallRequest) and not _waits(observed, found):
                tags[RESERVE_SINCE_TAG] = moment_value(self._clock.now())
        self._store.tag(request.secret, {facts_tag(step.version_id): facts_value(found, role), **tags})

    def _move(self, secret: str, step: MoveLabel) -> None:
        if step.to is not None and step.label in {Label.MAIN, Label.RESERVE}:
            self._verify(secret, step.to)
            # The dates of the one that goes are a reason of the move as well.
            if step.current is not None and step.current.facts is not None:
                self._verify(secret, step.current)
        if step.label is Label.MAIN and step.current is not None and step.to is not None:
            self._report(f"certificate {step.to.ordinal} becomes main, after certificate {step.current.ordinal}")
        self._store.move_label(
            secret,
            step.label,
            to=None if step.to is None else step.to.version_id,
            current=None if step.current is None else step.current.version_id,
        )

    def _verify(self, secret: str, version: StoredVersion) -> PublicCertificate:
        """Derive the facts from the version itself and stop where the tag tells something else."""
        from provider.core.certificates import details, facts  # noqa: PLC0415 - cryptography only where needed

        assert version.facts is not None  # noqa: S101 - a step moves labels to recorded versions only
        known = version.facts
        credential = self._credential(secret, version.version_id)
        found = facts(credential, ordinal=known.ordinal, source=known.source, generation=known.generation)
        if replace(found, chain=known.chain and found.chain) != known:  # an earlier tag may be without a chain
            raise StoreError(
                f"secret {secret}: the tag {facts_tag(version.version_id)} does not tell what version "
                f"{version.version_id} holds, a certificate with the fingerprint {found.sha256}. Somebody changed "
                "the tag: remove it, and the next run writes it again from the certificate"
            )
        issuers = "" if credential.root in credential.certificate else credential.root
        return PublicCertificate(
            facts=found, details=details(credential.certificate), pem=credential.certificate + issuers
        )

    def _credential(self, secret: str, version: str) -> Credential:
        from provider.core.certificates import credential_from_json  # noqa: PLC0415 - cryptography only where needed

        value = self._store.read(secret, version)
        if value is None:
            raise StoreError(f"secret {secret}: version {version} is gone: run again")
        return credential_from_json(value, where=f"secret {secret}, version {version}")

    def _certificates(self, secret: str, view: PairView) -> Mapping[int, PublicCertificate]:
        assert view.observed is not None  # noqa: S101 - a pair that is what it should be exists
        versions = [view.observed.numbered(ordinal) for ordinal in view.desired.trusted]
        return {
            version.facts.ordinal: self._verify(secret, version)
            for version in versions
            if version is not None and version.facts is not None
        }


def _waits(observed: ObservedPair | None, found: CertificateFacts) -> bool:
    """Tell whether a certificate is the reserve already, for a period that began when it was installed (R7)."""
    reserve = None if observed is None or observed.reserve_since is None else observed.reserve
    return reserve is not None and reserve.facts is not None and reserve.facts.sha256 == found.sha256


def _source(credential: Credential, step: RecordFacts) -> Source:
    """Return where a certificate comes from; where the record of it is lost, its own shape tells."""
    from provider.core.certificates import is_issued_here  # noqa: PLC0415 - cryptography only where needed

    if step.request is not None:
        return Source.INSTALLED if isinstance(step.request, InstallRequest) else Source.ISSUED
    return Source.ISSUED if is_issued_here(credential.certificate) else Source.INSTALLED


def _fulfils(credential: Credential, host: str, wanted: Request) -> bool:
    """Tell whether a certificate that an interrupted run stored is the one that is wanted now."""
    from provider.core.certificates import chain, chain_digest, details  # noqa: PLC0415 - cryptography where needed

    if isinstance(wanted, InstallRequest):
        stored = chain_digest((*chain(credential.certificate), *chain(credential.root)))
        return credential.sha256 == wanted.offered.sha256 and wanted.offered.chain in {"", stored}
    found = details(credential.certificate)
    days = (found.not_after - found.not_before + timedelta(seconds=1)).days
    key = found.key.replace(" ", "-").replace("P-", "p").lower()
    return (found.sans, key, days) == ((host,), wanted.key, wanted.validity_days)


def _check_ours(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse to touch a secret of somebody else, and to change the address of a pair."""
    if observed is None:
        return
    ours = observed.owner == request.owner or request.take_over
    if not ours and observed.owner is None:
        # The owner tag was lost; that the pair is ours, Pulumi's state tells.
        ours = request.known and (observed.main is None or observed.main.ordinal is not None)
    if not ours:
        holder = f"belongs to the stack {observed.owner}" if observed.owner else f"exists and has no tag {OWNER_TAG}"
        raise OwnershipError(
            f"secret {request.secret} {holder}, and this is {request.owner}: give the server another name or the stack "
            "another aws.secretPrefix, or set takeOver: true to adopt the pair"
        )
    if observed.host is not None and observed.host != request.definition.host:
        raise DefinitionError(
            f"address: the pair is for {observed.host}, and its certificates name it; a changed address "
            f"({request.definition.host}) needs a new server of another name. Set it back to {observed.host}"
        )
