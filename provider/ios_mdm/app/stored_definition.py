"""The definition of a pair whose custom certificates are the stored ones: only ``preview`` reads their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import OfferedCertificate
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import DefinitionError, StoreError

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.settings import ServerSettings

__all__ = ["existing_pair", "stored_definition"]


def stored_definition(server: ServerSettings, pair: ObservedPair) -> PairDefinition:
    """Return the definition, with the stored certificates as its custom ones: only ``preview`` reads their files."""
    staged = pair.holder(Label.STAGED)
    waits = server.main.replace_now and staged is not None and staged.labels == {Label.STAGED}
    # A next main that is not promoted yet is the certificate in the file.
    next_main = staged if waits and staged is not None and staged.role is Role.MAIN else pair.main
    main, reserve = (
        None if one is None or one.facts is None else _offered_certificate(one.facts)
        for one in (next_main, pair.reserve)
    )
    return server.definition(main=main, reserve=reserve or main)


def _offered_certificate(facts: CertificateFacts) -> OfferedCertificate:
    return OfferedCertificate(
        sha256=facts.sha256,
        root=facts.root,
        not_before=facts.not_before,
        not_after=facts.not_after,
        chain=facts.chain,
    )


def existing_pair(observed: ObservedPair | None, secret: str, host: str) -> ObservedPair:
    """Return the pair, after checking that it exists, has a main, and is for the address."""
    if observed is None:
        raise StoreError(
            f"there is no secret {secret} in the account and region in use. If `pulumi up` has created the pair, "
            "correct AWS_PROFILE and AWS_REGION. Otherwise run `pulumi up`"
        )
    if observed.is_deleted:
        raise StoreError(f"the secret {secret} is scheduled for deletion: run `pulumi up` to restore it")
    if observed.main is None:
        raise StoreError(f"the secret {secret} has no main certificate yet: run `pulumi up` to complete the pair")
    if observed.host is not None and observed.host != host:
        raise DefinitionError(
            f"address: it cannot change (was {observed.host}, now {host}), because the pair's certificates name it. "
            f"Set it back to {observed.host}, or create a new server with another name"
        )
    return observed
