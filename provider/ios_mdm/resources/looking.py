"""What a pair's resource looks at: the pair as it is, and the custom certificates that its definition names."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.resources.engine import progress
from ios_mdm.resources.wire import offered_of, with_roots
from ios_mdm.settings import AwsSettings, parse_server

if TYPE_CHECKING:
    from ios_mdm.app.bundles import BundleReader
    from ios_mdm.app.offers import Offers
    from ios_mdm.app.pair.service import PairRequest, PairService, PairView
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.x509.values import Credential
    from ios_mdm.resources.wire import Wire

__all__ = ["looked", "request_of", "service_of", "with_known_roots"]


def service_of(inputs: Wire) -> PairService:
    """Return what looks after pairs, where the inputs say that their secrets are."""
    from ios_mdm.adapters.clock import VARIABLE, clock_from_environment  # noqa: PLC0415 - not in the program's process
    from ios_mdm.adapters.scheduler import EventBridgeScheduler  # noqa: PLC0415 - the same
    from ios_mdm.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - the same
    from ios_mdm.adapters.tls_probe import TlsProbe  # noqa: PLC0415 - the same
    from ios_mdm.app.pair.service import PairService  # noqa: PLC0415 - the same

    region = AwsSettings.model_validate(inputs["aws"]).region
    return PairService(
        SecretsManager(region=region),
        clock_from_environment(os.environ),
        scheduler=EventBridgeScheduler(region=region),
        probe=TlsProbe(),
        report=progress(str(inputs["server"])),
        rehearsal=bool(os.environ.get(VARIABLE)),
    )


def request_of(inputs: Wire, *, known: bool, devices: int | None = None) -> PairRequest:
    """Return what a resource's inputs ask for.

    Args:
        inputs: of the resource; ``bundles`` tells what its files hold.
        known: whether state knows the pair already.
        devices: how many devices there are, for messages; None where nobody knows.
    """
    from ios_mdm.app.pair.service import PairRequest  # noqa: PLC0415 - not in the program's process

    server = parse_server(inputs["definition"], str(inputs["server"]))
    aws = AwsSettings.model_validate(inputs["aws"])
    recorded = offered_of(cast("Wire", inputs.get("bundles") or {}))
    definition = server.definition(main=recorded.get(Slot.MAIN), reserve=recorded.get(Slot.RESERVE))
    return PairRequest(
        definition=replace(definition, distributed=bool(inputs.get("distributed")), devices=devices),
        secret=str(inputs["secret"]),
        owner=str(inputs["owner"]),
        take_over=server.take_over,
        known=known,
        tags=aws.tags,
        kms_key=aws.kms_key,
        endpoints=server.looked_at,
        offered={role: partial(_credential, inputs, role) for role in recorded},
    )


def looked(olds: Wire, inputs: Wire, service: PairService, devices: int | None) -> tuple[Offers | None, PairView]:
    """Return the custom certificates that the definition offers, None where it offers none, and the pair with them.

    What a run makes main is known when the definition has been decided on, and for that the files must be read: where
    main changes, the reserve is judged once more, by the main that it will follow.
    """
    server = parse_server(inputs["definition"], str(inputs["server"]))
    request = partial(request_of, inputs, known=bool(olds), devices=devices)
    inputs["bundles"] = {}
    if server.main.install is None and (server.reserve is None or server.reserve.install is None):
        return None, service.look(request())
    from ios_mdm.app.offers import Offers  # noqa: PLC0415 - cryptography only where needed

    current = _main(service.observe(str(inputs["secret"])))
    read = partial(
        Offers.read, server, cast("Wire", olds.get("bundles") or {}), _bundles(inputs), service.now(), current=current
    )
    offers = read(main=current)
    inputs["bundles"] = offers.recorded
    view = service.look(request())
    if view.main != current:
        offers = read(main=view.main)
        inputs["bundles"] = offers.recorded
        view = service.look(request())
    return offers, view


def _main(observed: ObservedPair | None) -> CertificateFacts | None:
    return None if observed is None or observed.main is None else observed.main.facts


def _bundles(inputs: Wire) -> BundleReader:
    from ios_mdm.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - not in the program's process
    from ios_mdm.app.bundles import BundleReader  # noqa: PLC0415 - the same

    secrets = SecretsManager(region=AwsSettings.model_validate(inputs["aws"]).region)
    return BundleReader(base=Path.cwd(), environ=os.environ, secrets=secrets)


def _credential(inputs: Wire, role: Slot) -> Credential:
    """Return a custom certificate with its key, read and judged once more where it is stored (R29, R32)."""
    from ios_mdm.app.offers import Offers  # noqa: PLC0415 - cryptography only where needed

    server = parse_server(inputs["definition"], str(inputs["server"]))
    view = service_of(inputs).look(replace(request_of(inputs, known=True), endpoints=()))
    offers = Offers.read(
        server,
        cast("Wire", inputs["bundles"]),
        _bundles(inputs),
        view.now,
        current=_main(view.observed),
        main=view.main,
    )
    return offers.credential(role)


def with_known_roots(olds: Wire, inputs: Wire, view: PairView) -> Wire:
    """Keep the roots of main and reserve: what is issued under them later may come without (R22, R24)."""
    waits = None if view.observed is None else view.observed.numbered(view.desired.reserve or 0)
    slots = (view.main, None if waits is None else waits.facts)
    used = {facts.root for facts in slots if facts is not None and facts.source is Source.INSTALLED}
    return with_roots(cast("Wire", inputs["bundles"]), cast("Wire", olds.get("bundles") or {}), used)
