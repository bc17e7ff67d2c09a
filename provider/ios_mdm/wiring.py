"""Builds the adapters and hands them to the use cases. No other module imports both.

Each method imports what it builds when it is called, so that a process loads botocore, cryptography or an HTTP client
only if it uses them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Self

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.adapters.http_server import HttpServer
    from ios_mdm.adapters.reads import Reads
    from ios_mdm.adapters.secrets_manager import SecretsManager
    from ios_mdm.app.bundles import BundleReader
    from ios_mdm.app.collector.handler import Collector
    from ios_mdm.app.consumer import Consumer
    from ios_mdm.app.delivery import DeliveryService
    from ios_mdm.app.offers import Offers
    from ios_mdm.app.pair.preview import ReadOffers
    from ios_mdm.app.pair.reader import PairReader
    from ios_mdm.app.pair.settings import PairSettings
    from ios_mdm.app.reconcile import Reconciler
    from ios_mdm.app.recorded import Recorded
    from ios_mdm.app.status.overview import Sources
    from ios_mdm.app.switching import SwitchService
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.ports import (
        Clock,
        CustomCertificates,
        GivenResources,
        HttpHandler,
        Ledger,
        MdmChannel,
        Prerequisites,
        Probe,
        Scheduler,
        SecretStore,
        SecretValues,
    )
    from ios_mdm.settings import DistributionSettings, ServerSettings

__all__ = ["Wiring", "here"]


def here() -> Wiring:
    """Return the wiring of this process: its environment, and the folder that it runs in."""
    return Wiring(environ=os.environ, base=Path.cwd())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What use cases are built from.

    Args:
        environ: the process's environment variables.
        base: the folder that relative paths of a definition start from: the project's.
        reads: keeps what is read for one check or for the status of one server; None if nothing is kept.
    """

    environ: Mapping[str, str] = field(repr=False)
    base: Path
    reads: Reads | None = field(default=None, repr=False, compare=False)

    def remembering(self) -> Self:
        """Return the wiring for one check or one status, which reads each answer of AWS once. Never write with it."""
        from ios_mdm.adapters.reads import Reads

        return replace(self, reads=Reads())

    # Adapters: one method for each port.

    def clock(self) -> Clock:
        """Return the clock that the environment asks for.

        Raises:
            DefinitionError: It sets a clock by hand, and AWS is not an emulator on loopback.
        """
        from ios_mdm.adapters.clock import clock_from_environment

        return clock_from_environment(self.environ)

    def store(self, region: str | None) -> SecretStore:
        """Return AWS Secrets Manager as the store of pairs; *region* None is the one that the environment names."""
        return self._secrets_manager(region)

    def values(self, region: str | None) -> SecretValues:
        """Return AWS Secrets Manager as the source of other secrets: API keys, passwords, bundles."""
        return self._secrets_manager(region)

    def _secrets_manager(self, region: str | None) -> SecretsManager:
        from ios_mdm.adapters.secrets_manager import SecretsManager

        return SecretsManager(aws=self._aws(region))

    def _aws(self, region: str | None) -> Aws:
        from ios_mdm.adapters.aws import Aws

        return Aws(environ=self.environ, region=region, reads=self.reads)

    def scheduler(self, region: str | None) -> Scheduler:
        """Return EventBridge Scheduler."""
        from ios_mdm.adapters.scheduler import EventBridgeScheduler

        return EventBridgeScheduler(aws=self._aws(region))

    def prerequisites(self, region: str | None) -> Prerequisites:
        """Return IAM and SQS, for the role and the queue of schedules."""
        from ios_mdm.adapters.prerequisites import AwsPrerequisites

        return AwsPrerequisites(aws=self._aws(region))

    def given(self, region: str | None) -> GivenResources:
        """Return IAM, SQS and SNS, for the role, the queue and the topic that a definition names."""
        from ios_mdm.adapters.given import AwsGivenResources

        return AwsGivenResources(aws=self._aws(region))

    def probe(self) -> Probe:
        """Return the TLS probe."""
        from ios_mdm.adapters.reads import ReadsProbe
        from ios_mdm.adapters.tls_probe import TlsProbe

        return TlsProbe() if self.reads is None else ReadsProbe(probe=TlsProbe(), reads=self.reads)

    def ledger(self, url: str) -> Ledger:
        """Return the ledger that *url* names; nothing is opened or created yet.

        Raises:
            DefinitionError: *url* names no ledger.
        """
        from ios_mdm.adapters.ledgers.sqlite import open_ledger

        return open_ledger(url, base=self.base)

    def channel(self, settings: DistributionSettings, region: str | None) -> MdmChannel:
        """Return the channel that a definition names, with its API key, which lives in memory only (R29).

        Raises:
            StoreError: AWS refuses.
            DefinitionError: There is no such secret, it is not for the channel's URL, its value cannot be an API key,
                or the settings cannot work.
        """
        from ios_mdm.adapters.nanomdm import NanoMdm
        from ios_mdm.app.references import api_key

        nanomdm = settings.channel.nanomdm
        ca_file = None if nanomdm.ca_file is None else str(self.base / nanomdm.ca_file)
        key = api_key(self.values(region), nanomdm)
        return NanoMdm(url=nanomdm.url, api_key=key, ca_file=ca_file, push=nanomdm.push)

    def check_channel(self, settings: DistributionSettings, region: str | None) -> None:
        """Check what :meth:`channel` needs, as far as it can be done without reading the API key.

        Raises:
            StoreError: AWS refuses.
            DefinitionError: There is no secret with the API key, or it is not for the channel's URL.
        """
        from ios_mdm.app.references import check_api_key

        check_api_key(self.values(region), settings.channel.nanomdm)

    # Use cases.

    @property
    def is_rehearsal(self) -> bool:
        """Whether the clock is set by hand."""
        from ios_mdm.adapters.clock import VARIABLE

        return bool(self.environ.get(VARIABLE))

    def pairs(self, region: str | None) -> PairReader:
        """Return what observes pairs, which needs no cryptography."""
        from ios_mdm.app.pair.reader import PairReader

        return PairReader(self.store(region), self.clock(), probe=self.probe())

    def reconciler(
        self,
        region: str | None,
        *,
        report: Callable[[str], None],
        warn: Callable[[str], None],
        custom: CustomCertificates | None = None,
        distribution: DistributionSettings | None = None,
    ) -> Reconciler:
        """Return what brings a server to what its definition asks for.

        Args:
            region: AWS region; None for the one that the environment names.
            report: receives each line of progress.
            warn: receives each warning.
            custom: the custom certificates that the definition offers; None if it offers none.
            distribution: how its profile is distributed; None if none is.
        """
        from ios_mdm.app.pair.service import PairService
        from ios_mdm.app.reconcile import Reconciler

        pairs = PairService(
            self.store(region),
            self.clock(),
            probe=self.probe(),
            custom=custom,
            report=report,
            rehearsal=self.is_rehearsal,
        )
        deliveries = None if distribution is None else self.deliveries(distribution, region, report=report)
        return Reconciler(pairs, self.switches(region, report=report, warn=warn), deliveries)

    def switches(
        self, region: str | None, *, report: Callable[[str], None], warn: Callable[[str], None]
    ) -> SwitchService:
        """Return what arms and disarms switches."""
        from ios_mdm.app.switching import SwitchService

        return SwitchService(
            self.scheduler(region),
            self.prerequisites(region),
            self.store(region),
            self.clock(),
            report=report,
            warn=warn,
            is_read_ahead=self.reads is not None,
        )

    def deliveries(
        self, settings: DistributionSettings, region: str | None, *, report: Callable[[str], None]
    ) -> DeliveryService:
        """Return what sends profiles; the MDM server is contacted when something is sent."""
        from ios_mdm.app.delivery import DeliveryService

        return DeliveryService(
            partial(self.channel, settings, region),
            self.store(region),
            None if settings.ledger is None else self.ledger(settings.ledger),
            self.clock(),
            report=report,
        )

    def devices(self, settings: DistributionSettings) -> tuple[str, ...]:
        """Return the enrollment ids that a definition means, sorted.

        Raises:
            DefinitionError: The list is empty, has duplicates, or cannot be read.
        """
        from ios_mdm.app.devices import read_devices

        ledger = None if settings.ledger is None else self.ledger(settings.ledger)
        return read_devices(settings, ledger, base=self.base)

    def known_devices(self, settings: DistributionSettings) -> int | None:
        """Return how many devices there are, for a message; None if that is unknown."""
        from ios_mdm.app.devices import known_devices

        return known_devices(settings, self.ledger, base=self.base)

    def bundles(self, region: str | None) -> BundleReader:
        """Return what reads custom certificates from files and from secrets of AWS."""
        from ios_mdm.app.bundles import BundleReader

        return BundleReader(base=self.base, environ=self.environ, secrets=self.values(region))

    def local_offers(self, server: ServerSettings, start: datetime, main: CertificateFacts | None) -> Offers:
        """Return the custom certificates of a new pair, read without AWS: a secret is an error that says so.

        Args:
            server: its settings.
            start: the time of the first run.
            main: the main certificate that the run issues; None if main is a custom certificate.
        """
        from ios_mdm.app.bundles import BundleReader
        from ios_mdm.app.offers import Offers
        from ios_mdm.app.recorded import Recorded

        reader = BundleReader(base=self.base, environ=self.environ)
        return Offers.read(server, Recorded(), reader, start, current=None, main=main)

    def read_offers(self, settings: PairSettings, before: Recorded) -> ReadOffers:
        """Return what reads and judges the custom certificates that a definition offers, now."""

        def read(*, current: CertificateFacts | None, main: CertificateFacts | None) -> Offers:
            from ios_mdm.app.offers import Offers

            reader = self.bundles(settings.aws.region)
            return Offers.read(settings.server, before, reader, self.clock().now(), current=current, main=main)

        return read

    def custom(self, settings: PairSettings, recorded: Recorded) -> CustomCertificates | None:
        """Return the custom certificates that a definition offers, None if it offers none."""
        if not settings.server.installs:
            return None
        from ios_mdm.app.offers import OfferedCertificates

        return OfferedCertificates(
            server=settings.server, recorded=recorded, reader=self.bundles(settings.aws.region), clock=self.clock()
        )

    def sources(self, region: str | None) -> Sources:
        """Return what ``status`` reads."""
        from ios_mdm.app.status.overview import Sources

        return Sources(
            store=self.store(region),
            scheduler=self.scheduler(region),
            prerequisites=self.prerequisites(region),
            given=self.given(region),
            probe=self.probe(),
            clock=self.clock(),
            ledger=self.ledger,
        )

    def consumer(
        self, secret: str, directory: Path, command: Sequence[str], region: str | None, *, combined: bool = False
    ) -> Consumer:
        """Return what keeps the files of a TLS server in step with a pair."""
        from ios_mdm.app.consumer import Consumer

        return Consumer(
            source=self.values(region),
            secret=secret,
            directory=directory,
            command=command,
            environ=self.environ,
            combined=combined,
        )

    def collector(self, ledger: str, *, hmac_key: bytes | None, hosts: Sequence[str]) -> Collector:
        """Return the handler of an MDM server's events."""
        from ios_mdm.app.collector.handler import Collector

        return Collector(ledger=self.ledger(ledger), clock=self.clock(), hmac_key=hmac_key, hosts=hosts)

    def http_server(self, handler: HttpHandler, *, host: str, port: int) -> HttpServer:
        """Return an HTTP server in front of *handler*, which listens and does not answer yet."""
        from ios_mdm.adapters.http_server import HttpServer

        return HttpServer(handler, host=host, port=port)
