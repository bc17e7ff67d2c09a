"""Carries out the steps of a pair: writes to its secret. A label is moved only to a verified version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.app.confirm import read_until
from ios_mdm.app.pair.found_certificates import (
    found_certificate_problem,
    unknown_version_message,
    value_digest,
    way_back,
)
from ios_mdm.app.pair.values import PublicCertificate
from ios_mdm.core.pair.decision import InstallRequest
from ios_mdm.core.pair.definition import InstallMain, Slot
from ios_mdm.core.pair.encryption import DEFAULT_KEY
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.layout import (
    ANNOUNCED_TAG,
    HIGHEST_TAG,
    KEY_TAG,
    MAIN_GENERATION_TAG,
    RESERVE_SINCE_TAG,
    announced_value,
    facts_tag,
    facts_value,
    observed_pair,
    time_value,
    version_id,
)
from ios_mdm.core.pair.observed import Announcement, ObservedPair, Role
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import Create, Encrypt, Install, Issue, MoveLabel, RecordFacts, Restore, Tag, Untag
from ios_mdm.core.x509.credential import credential_from_json, credential_to_json
from ios_mdm.core.x509.details import details, facts
from ios_mdm.core.x509.digests import chain_digest
from ios_mdm.core.x509.issuing import is_issued, issue, key_type
from ios_mdm.core.x509.pem import chain
from ios_mdm.errors import DefinitionError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.app.pair.values import PairRequest, PairView
    from ios_mdm.core.pair.decision import Request
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import StoredVersion
    from ios_mdm.core.x509.values import Credential
    from ios_mdm.ports import Clock, CustomCertificates, SecretStore

__all__ = ["Effects"]


class Effects:
    """The effects of one run on a pair's secret.

    Each version is read from AWS once, because its value never changes. Create a new object for each run.

    Args:
        store: stores the pairs.
        clock: read when a certificate is issued or installed.
        custom: reads the custom certificates that the definition offers; None if it offers none.
        report: receives each line of progress.
    """

    def __init__(
        self, store: SecretStore, clock: Clock, *, custom: CustomCertificates | None, report: Callable[[str], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._custom = custom
        self._report = report
        self._credentials: dict[str, Credential] = {}
        self._digests: dict[str, str] = {}
        self._announced: set[Announcement] = set()

    def perform(self, request: PairRequest, view: PairView) -> None:
        """Carry out the next step of *view*.

        Raises:
            LabelMovedError: The label was moved concurrently.
            DefinitionError: The file of a custom certificate has changed since the decision.
            StoreError: The certificate of a version does not match its facts tag.
        """
        store, secret, observed, step = self._store, request.secret, view.observed, view.step
        match step:
            case Create():
                description = f"TLS certificate pair of the iOS MDM server {request.definition.name}"
                store.create(secret, tags=step.tags, description=description, kms_key=step.kms_key)
            case Encrypt():
                self._encrypt(secret, step)
            case Restore():
                self._report(f"{secret} was scheduled for deletion and is restored")
                store.restore(secret)
            case Issue():
                self._issue(request, observed, step)
            case Install():
                self._install(request, view, step)
            case RecordFacts():
                self._record(request, observed, step)
            case MoveLabel():
                self.move_label(secret, step)
            case Tag():
                store.tag(secret, step.tags)
            case Untag():
                store.untag(secret, step.keys)

    def _encrypt(self, secret: str, step: Encrypt) -> None:
        self._report(f"the KMS key of {secret} becomes {step.kms_key or DEFAULT_KEY}")
        self._store.encrypt(secret, kms_key=step.kms_key)
        # In the same step as the key, because DescribeSecret may return the same name before and after the change.
        if step.record is not None:
            self._store.tag(secret, {KEY_TAG: step.record})
        if step.untag:
            self._store.untag(secret, step.untag)

    def _issue(self, request: PairRequest, observed: ObservedPair | None, step: Issue) -> None:
        wanted = step.request
        if self._resolve_existing(request.secret, observed, wanted.ordinal):
            return
        self._report(f"issuing certificate {wanted.ordinal} ({wanted.slot}, {wanted.key}, {wanted.validity_days} days)")
        main = None if observed is None or observed.main is None else observed.main.facts
        credential = issue(
            request.definition.host,
            key=wanted.key,
            validity_days=wanted.validity_days,
            now=self._clock.now(),
            # R8, enforced again where the certificate is created.
            max_validity=main.not_after - main.not_before if main is not None and wanted.slot is Slot.RESERVE else None,
        )
        self._put(request.secret, wanted.ordinal, credential)

    def _install(self, request: PairRequest, view: PairView, step: Install) -> None:
        wanted = step.request
        if self._resolve_existing(request.secret, view.observed, wanted.ordinal):
            return
        self._report(f"installing certificate {wanted.ordinal} ({wanted.slot}), {wanted.offered.sha256}")
        if self._custom is None:
            raise DefinitionError(
                f"{wanted.slot}.install: the file of the custom certificate is needed, but cannot be read here"
            )
        current = None if view.observed is None or view.observed.main is None else view.observed.main.facts
        credential = self._custom.credential(wanted.slot, current=current, main=view.main)
        if not _is_requested(credential, request.definition.host, wanted):
            raise DefinitionError(
                f"{wanted.slot}.install: the file changed after it was checked: the certificate "
                f"(was {wanted.offered.sha256}, now {credential.sha256}) or its chain is different. Run `pulumi up` "
                "again"
            )
        self._put(request.secret, wanted.ordinal, credential)

    def _put(self, secret: str, ordinal: int, credential: Credential) -> None:
        """Announce a version, then store it. A version that no run announced is never adopted (R38).

        The method returns when reads show the value: a run that does not see the value stores another one.
        """
        value = credential_to_json(credential)
        announced = Announcement(ordinal=ordinal, sha256=value_digest(value))
        self._announced.add(announced)
        self._store.tag(secret, {ANNOUNCED_TAG: announced_value(announced)})
        self._store.put(secret, version_id(secret, ordinal), value)
        self._existing_credential(secret, version_id(secret, ordinal))

    def _resolve_existing(self, secret: str, before: ObservedPair | None, ordinal: int) -> bool:
        """Adopt or skip the version with this number, if it exists; return whether it exists.

        A version that an interrupted run announced gets the label STAGED and is adopted. Any other version was stored
        by another program: its number is recorded as used, so that the next certificate gets another number.
        """
        version = version_id(secret, ordinal)
        # An interrupted run may have stored the announced version so recently that reads do not show it yet.
        is_announced = before is not None and before.announced is not None and before.announced.ordinal == ordinal
        if (self._existing_credential if is_announced else self._stored_credential)(secret, version) is None:
            return False
        description = self._store.describe(secret)
        observed = ObservedPair() if description is None else observed_pair(secret, description)
        if observed.announced is None or not self._is_announced(observed, secret, ordinal):
            self._pass_over(secret, observed, ordinal)
            return True
        holder = observed.holder(Label.STAGED)
        current = None if holder is None else holder.version_id
        self._store.move_label(secret, Label.STAGED, to=version, current=current)
        return True

    def _is_announced(self, observed: ObservedPair, secret: str, ordinal: int) -> bool:
        """Return whether a run announced exactly the value of the version with this number."""
        found = Announcement(ordinal=ordinal, sha256=self._digests[version_id(secret, ordinal)])
        return found == observed.announced or found in self._announced

    def _pass_over(self, secret: str, observed: ObservedPair, ordinal: int) -> None:
        """Report a version that no run announced, and record its number as used."""
        self._report(
            f"secret {secret} has a version {version_id(secret, ordinal)} that no run announced: another program "
            f"stored it, and it is not used. Find out which program can call PutSecretValue (SECURITY.md)"
        )
        self._store.tag(secret, {HIGHEST_TAG: str(max(observed.highest_ordinal, ordinal))})
        if observed.announced is not None and observed.announced.ordinal == ordinal:
            self._store.untag(secret, [ANNOUNCED_TAG])

    def _record(self, request: PairRequest, observed: ObservedPair | None, step: RecordFacts) -> None:
        credential = self._credential(request.secret, step.version_id)
        observed = observed or ObservedPair()
        if step.request is not None and not self._is_announced(observed, request.secret, step.ordinal):
            self._pass_over(request.secret, observed, step.ordinal)
            return
        role = Role(step.slot)
        if step.request is None:
            role = self._found_role(request, observed, step, credential)
        found = facts(credential, ordinal=step.ordinal, source=_source(credential, step), generation=step.generation)
        tags = {HIGHEST_TAG: str(max(step.highest, step.ordinal))}
        if step.request is None and step.slot is Slot.MAIN:
            # AWS labels a secret's first version AWSCURRENT automatically, so its generation is not recorded yet.
            tags |= {MAIN_GENERATION_TAG: str(step.generation)} if observed.main_generation is None else {}
        if step.request is not None:
            if not _is_requested(credential, request.definition.host, step.request):
                role = Role.DELETED
            elif step.slot is Slot.MAIN:
                tags |= {} if step.follows else {MAIN_GENERATION_TAG: str(step.generation)}
            elif isinstance(step.request, InstallRequest) and not _is_waiting(observed, found):
                tags[RESERVE_SINCE_TAG] = time_value(self._clock.now())
        self._store.tag(request.secret, {facts_tag(step.version_id): facts_value(found, role), **tags})

    def _found_role(
        self, request: PairRequest, observed: ObservedPair, step: RecordFacts, credential: Credential
    ) -> Role:
        """Return the role of a version with a label but without a facts tag.

        A version is accepted if a run announced it, if the state or the definition has its certificate with the same
        chain, or if its certificate is distrusted (R38). An expired former main is no longer in the state, but AWS
        keeps AWSPREVIOUS on it. It gets the role *deleted*, so that it is not sent to devices.

        Raises:
            StoreError: Another program may have stored the version.
        """
        definition, role = request.definition, Role(step.slot)
        # No profile contains a distrusted certificate.
        if _is_known(request, credential) or credential.sha256 in definition.distrust:
            return role
        now, version = self._clock.now(), observed.version_of(step.ordinal)
        assert version is not None  # noqa: S101 - the step records a version that was observed
        if version.slots == {Label.FORMER} and now > details(credential.certificate).not_after:
            return Role.DELETED
        problem: str | None = "no run announced it, and the state does not contain its certificate with this chain"
        if self._is_announced(observed, request.secret, step.ordinal):
            main = observed.main if step.slot is Slot.RESERVE else None
            problem = found_certificate_problem(
                credential, definition.host, now, main=None if main is None else main.facts
            )
        if problem is not None:
            raise StoreError(unknown_version_message(request.secret, version, problem))
        return role

    def move_label(self, secret: str, step: MoveLabel) -> None:
        """Move a label. Main and reserve are moved only to a version that matches its facts tag.

        Raises the errors of :meth:`perform`.
        """
        if step.to is not None and step.label in {Label.MAIN, Label.RESERVE}:
            if self.verified_certificate(secret, step.to) is None:
                raise _lost_certificate_error(secret, step.label, step.to)
            # The move also depends on the dates of the certificate that loses the label.
            if step.current is not None and step.current.facts is not None:
                self.verify(secret, step.current)
        if step.label is Label.MAIN and step.current is not None and step.to is not None:
            self._report(f"certificate {step.to.ordinal} becomes main and replaces certificate {step.current.ordinal}")
        self._store.move_label(
            secret,
            step.label,
            to=None if step.to is None else step.to.version_id,
            current=None if step.current is None else step.current.version_id,
        )

    def verify(self, secret: str, version: StoredVersion) -> PublicCertificate:
        """Return the certificate of a version like :meth:`verified`; raise StoreError if it does not exist."""
        found = self.verified_certificate(secret, version)
        if found is None:
            raise _missing_version_error(secret, version.version_id)
        return found

    def verified_certificate(self, secret: str, version: StoredVersion) -> PublicCertificate | None:
        """Return the certificate of a version that has a facts tag; None if the version does not exist.

        Raises:
            StoreError: The facts tag does not match the certificate, or records it as issued although it does not have
                the form of an issued certificate.
        """
        assert version.facts is not None  # noqa: S101 - a step moves labels to recorded versions only
        known = version.facts
        # AWS may have deleted a version without labels. A version that was just stored has a label.
        credential = (self._existing_credential if version.labels else self._stored_credential)(
            secret, version.version_id
        )
        if credential is None:
            return None
        found = facts(credential, ordinal=known.ordinal, source=known.source, generation=known.generation)
        if replace(found, chain=known.chain and found.chain) != known:  # an earlier tag may be without a chain
            raise StoreError(
                f"secret {secret}: the tag {facts_tag(version.version_id)} does not match the certificate in version "
                f"{version.version_id}, which has the fingerprint {found.sha256}. The tag was changed: remove it, and "
                "the next run writes it again from the certificate"
            )
        if known.source is Source.ISSUED and not is_issued(chain(credential.chain)):
            raise StoreError(
                f"secret {secret}: certificate {known.ordinal} ({known.sha256}) is recorded as issued in the tag "
                f"{facts_tag(version.version_id)}, but does not have the form of an issued certificate. Devices must "
                "not trust it. Another program may have stored it and written the tag: remove the tag"
                f"{f'. {way_back(secret, version)}' if version.slots else ''}"
            )
        return PublicCertificate(facts=found, details=details(credential.chain), pem=credential.chain)

    def _credential(self, secret: str, version: str) -> Credential:
        found = self._existing_credential(secret, version)
        if found is None:
            raise _missing_version_error(secret, version)
        return found

    def _existing_credential(self, secret: str, version: str) -> Credential | None:
        """Return the credential of a version that should exist; None if repeated reads do not show it."""
        return read_until(lambda: self._stored_credential(secret, version), lambda found: found is not None)

    def _stored_credential(self, secret: str, version: str) -> Credential | None:
        """Return the credential of a version; None if the version does not exist."""
        if version not in self._credentials:
            value = self._store.read(secret, version)
            if value is None:
                return None
            self._digests[version] = value_digest(value)
            self._credentials[version] = credential_from_json(value, where=f"secret {secret}, version {version}")
        return self._credentials[version]


def _is_known(request: PairRequest, credential: Credential) -> bool:
    """Return whether the state or the definition contains this certificate with exactly this chain.

    Devices trust the root, and another program can store a known certificate with another root. The form of an issued
    certificate allows only one root.
    """
    certificates, main, known = chain(credential.chain), request.definition.main, request.known
    if known is not None and credential.sha256 in {known.main, *known.certificates} and is_issued(certificates):
        return True
    if known is not None and credential.sha256 in known.certificates:
        return certificates == chain(known.certificates[credential.sha256])
    return isinstance(main, InstallMain) and (credential.sha256, chain_digest(certificates)) == (
        main.offered.sha256,
        main.offered.chain,
    )


def _missing_version_error(secret: str, version: str) -> StoreError:
    return StoreError(f"secret {secret}: version {version} no longer exists: run again")


def _lost_certificate_error(secret: str, label: str, version: StoredVersion) -> StoreError:
    """Return the error for a version that does not exist, although a facts tag records it for a slot.

    AWS deletes versions without labels, and a secret that was restored manually may lack some versions.
    """
    assert version.facts is not None  # noqa: S101 - a step moves labels to recorded versions only
    known = version.facts
    remedy = ""
    if label == Label.RESERVE:
        remedy = (
            " If its private key is lost, replace or delete the reserve: raise `reserve.issue.generation` to "
            f"{known.generation + 1}, install another one, or set `reserve.none: true`, each with `reserve.confirm: "
            f"{known.sha256}`, and add this fingerprint to `distrust` of the server"
        )
    return StoreError(
        f"secret {secret}: the version {version.version_id} of certificate {known.ordinal} ({known.sha256}) does not "
        f"exist. Run again. If it is still missing, restore its value with `aws secretsmanager put-secret-value "
        f"--secret-id {secret} --client-request-token {version.version_id} --version-stages {label} --secret-string "
        f"file://…`.{remedy}"
    )


def _is_waiting(observed: ObservedPair, found: CertificateFacts) -> bool:
    """Return whether a certificate is already the reserve, with a recorded time of its installation (R7)."""
    reserve = None if observed.reserve_since is None else observed.reserve
    return reserve is not None and reserve.facts is not None and reserve.facts.sha256 == found.sha256


def _source(credential: Credential, step: RecordFacts) -> Source:
    """Return the source of a certificate. If no request names it, the form of the certificate decides."""
    if step.request is not None:
        return Source.INSTALLED if isinstance(step.request, InstallRequest) else Source.ISSUED
    return Source.ISSUED if is_issued(chain(credential.chain)) else Source.INSTALLED


def _is_requested(credential: Credential, host: str, wanted: Request) -> bool:
    """Return whether a certificate, which an interrupted run may have stored, is the requested one."""
    certificates = chain(credential.chain)
    if isinstance(wanted, InstallRequest):
        stored = chain_digest(certificates)
        return credential.sha256 == wanted.offered.sha256 and wanted.offered.chain in {"", stored}
    found = details(credential.certificate)
    days = (found.not_after - found.not_before + timedelta(seconds=1)).days
    key = key_type(credential.certificate)
    return is_issued(certificates) and (found.sans, key, days) == ((host,), wanted.key, wanted.validity_days)
