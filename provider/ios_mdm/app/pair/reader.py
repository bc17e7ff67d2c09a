"""Observes a pair and decides its desired state. Writes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ios_mdm.app.pair.identity import (
    check_address,
    check_certificates,
    check_home,
    check_lost,
    check_pair_owner,
    lost_notice,
    moved_notice,
    replica_notice,
    take_over_notice,
)
from ios_mdm.app.pair.values import PairView
from ios_mdm.core.pair.budget import check_budget, check_key_change
from ios_mdm.core.pair.definition import InstallMain
from ios_mdm.core.pair.encryption import key_notices
from ios_mdm.core.pair.layout import HIGHEST_TAG, observed_pair
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.policies import address_presents_another_certificate, connection_notices
from ios_mdm.core.pair.steps import next_step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.app.pair.values import PairRequest
    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.observed import ObservedPair, ServedCertificate
    from ios_mdm.ports import Clock, Probe, SecretStore

__all__ = ["PairReader", "pair_view"]


class PairReader:
    """Observes pairs. It does not call GetSecretValue.

    Args:
        store: stores the pairs.
        clock: read once for each call, so that a call has one ``now``.
        probe: reports the certificates that endpoints present; None to check no endpoint.
    """

    def __init__(self, store: SecretStore, clock: Clock, *, probe: Probe | None = None) -> None:
        self._store = store
        self._clock = clock
        self._probe = probe

    def observe(self, secret: str) -> ObservedPair | None:
        """Return the pair in *secret*, or None if AWS reports that the secret does not exist."""
        description = self._store.describe(secret)
        if description is None:
            return None
        # Only if the tag is lost, so that a caller without ListSecretVersionIds can preview an intact pair.
        lost = HIGHEST_TAG not in description.tags and bool(description.labels)
        return observed_pair(secret, description, self._store.version_ids(secret) if lost else ())

    def view(self, request: PairRequest) -> PairView:
        """Return the observed and desired state of the pair.

        Raises:
            IdentityError: The secret is not the pair that the state has.
            OwnershipError: The secret belongs to another stack, or to none.
            DefinitionError: The definition requests a change that this pair does not allow.
            StoreError: AWS did not answer.
        """
        observed = self.observe(request.secret)
        home = self.check(request, observed)
        if observed is not None:
            observed = replace(
                observed, served=self.served_certificates(observed, request.definition.host, request.endpoints)
            )
        view = pair_view(request, observed, self._clock.now(), home=home)
        found = (
            replica_notice(request, observed),
            moved_notice(request, home),
            take_over_notice(request, observed),
            lost_notice(request, observed),
        )
        notices = tuple(one for one in found if one is not None)
        if notices:
            view = replace(view, desired=replace(view.desired, notices=(*notices, *view.desired.notices)))
        return view if observed is not None else self._with_address_notices(request, view)

    def _with_address_notices(self, request: PairRequest, view: PairView) -> PairView:
        """Return the view of a new pair, with notices about a server that answers at its address."""
        if self._probe is None or not request.endpoints:
            return view
        served = self._probe.served_certificates(request.definition.host, request.endpoints)
        main = request.definition.main
        sha256 = main.offered.sha256 if isinstance(main, InstallMain) else None
        other = address_presents_another_certificate(served, sha256)
        found = (*(() if other is None else (other,)), *connection_notices(served))
        return replace(view, desired=replace(view.desired, notices=(*view.desired.notices, *found)))

    def observe_again(self, request: PairRequest, view: PairView) -> PairView:
        """Return the pair after the record of its promotion was removed. Raises the errors of :meth:`look`.

        The time and the certificates of the endpoints are those of *view*.
        """
        observed = self.observe(request.secret)
        self.check(request, observed)
        if observed is not None and view.observed is not None:
            observed = replace(observed, served=view.observed.served)
        return pair_view(request, observed, view.now, home=view.home)

    def check(self, request: PairRequest, observed: ObservedPair | None) -> Home:
        """Return the home of the pair, after checking that this request may change it.

        Raises:
            IdentityError: The secret is not the pair that the state has.
            OwnershipError: The pair belongs to another resource.
            DefinitionError: The pair is for another connection address.
        """
        home = self.check_home(request, observed)
        check_lost(request, observed)
        check_pair_owner(request, observed)
        check_certificates(request, observed)
        check_address(request, observed)
        return home

    def check_home(self, request: PairRequest, observed: ObservedPair | None) -> Home:
        """Return the home of the pair, after checking that the credentials are for it.

        Raises:
            IdentityError: The credentials are for another account or region, the secret has another ARN or another
                pair, or the secret is a copy.
        """
        return check_home(request, observed, self._store.home)

    def served_certificates(
        self, observed: ObservedPair, host: str, endpoints: Sequence[str]
    ) -> tuple[ServedCertificate, ...]:
        """Return the certificate that each endpoint presents; empty if the pair has no main to compare with."""
        if self._probe is None or not endpoints or observed.is_deleted:
            return ()
        if observed.main is None or observed.main.facts is None:
            return ()
        return self._probe.served_certificates(host, endpoints)


def pair_view(
    request: PairRequest, observed: ObservedPair | None, now: datetime, *, home: Home | None = None
) -> PairView:
    """Return an observed pair together with the decision about it.

    Args:
        request: request for the pair, with the definition.
        observed: observed state of the pair; None if its secret does not exist.
        now: time of the decision, aware UTC, whole seconds.
        home: account and region of the secret; None if they were not checked.

    Raises:
        DefinitionError: The definition requests a change that this pair does not allow.
    """
    wanted = desired_state(request.definition, observed, now)
    check_budget(
        wanted,
        observed,
        secret=request.secret,
        tags=request.tags,
        distributed=request.definition.distributed,
        now=now,
    )
    step = next_step(wanted, observed, request.setting(observed, home))
    if observed is not None:
        check_key_change(wanted, observed, request.kms_key, tags=request.tags, now=now)
        wanted = replace(wanted, notices=(*wanted.notices, *key_notices(wanted, observed, request.kms_key)))
    return PairView(observed=observed, desired=wanted, step=step, now=now, home=home)
