"""Builds the adapters and passes them to the use cases. No other module imports both.

Each method imports its classes when it is called, so that a process loads botocore, cryptography or an HTTP client only
if it uses them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ios_mdm.app.own_writes import ConsistentStore, OwnWrites
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from typing import Self

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.adapters.http_server import HttpServer
    from ios_mdm.adapters.ledgers.dynamodb.creation import TableCreation
    from ios_mdm.adapters.reads import Reads
    from ios_mdm.adapters.secrets_manager import SecretsManager
    from ios_mdm.app.bundles import BundleReader
    from ios_mdm.app.collector.handler import Collector
    from ios_mdm.app.collector.newcomers import Newcomers
    from ios_mdm.app.consumer import Consumer
    from ios_mdm.app.delivery.files import FileDeliveryService
    from ios_mdm.app.delivery.requested import RequestedCommands
    from ios_mdm.app.delivery.service import DeliveryService
    from ios_mdm.app.gate import GateService
    from ios_mdm.app.offers import Offers
    from ios_mdm.app.pair.preview import ReadOffers
    from ios_mdm.app.pair.reader import PairReader
    from ios_mdm.app.pair.settings import PairSettings
    from ios_mdm.app.reconcile import Reconciler
    from ios_mdm.app.recorded_offers import RecordedOffers
    from ios_mdm.app.status.overview import Sources
    from ios_mdm.app.status.watched import WatchSources
    from ios_mdm.app.switch_mover import SwitchMover
    from ios_mdm.app.switching import SwitchService
    from ios_mdm.core.bundle import SealedReader
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.ports import (
        Clock,
        CustomCertificates,
        Folder,
        GivenResources,
        HttpHandler,
        Ledger,
        MdmChannel,
        Prerequisites,
        Probe,
        ProfileDirectory,
        Scheduler,
        SecretStore,
        SecretValues,
    )
    from ios_mdm.settings import AwsSettings, DistributionSettings, PromotionSettings, ServerSettings
    from ios_mdm.settings.channels.channel import ChannelTools, FileChannelSettings

__all__ = ["Wiring", "process_wiring"]

_OWN_WRITES = OwnWrites()
"""Recent writes of this process, in which Pulumi changes several resources."""


def process_wiring() -> Wiring:
    """Return the wiring for the environment and the working directory of this process.

    Raises:
        DefinitionError: The working directory does not exist.
    """
    try:
        base = Path.cwd()
    except OSError:
        raise DefinitionError("the current folder was deleted: change to another folder") from None
    return Wiring(environ=os.environ, base=base, writes=_OWN_WRITES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Builds adapters and use cases.

    Args:
        environ: environment variables of the process.
        base: folder of the project, to which the paths of a definition are relative.
        reads: cache of the answers of AWS for one check, or for the status of one server; None for no cache.
        writes: recent writes to the secrets of pairs.
    """

    environ: Mapping[str, str] = field(repr=False)
    base: Path
    reads: Reads | None = field(default=None, repr=False, compare=False)
    writes: OwnWrites = field(default_factory=OwnWrites, repr=False, compare=False)

    def with_cached_reads(self) -> Self:
        """Return a wiring for one check or one status, which caches answers of AWS. Never write with it."""
        from ios_mdm.adapters.reads import Reads

        return replace(self, reads=Reads())

    # Adapters: one method for each port.

    def clock(self) -> Clock:
        """Return the clock of the environment.

        Raises:
            DefinitionError: The environment sets the clock, and AWS is not an emulator on loopback.
        """
        from ios_mdm.adapters.clock import clock_from_environment

        return clock_from_environment(self.environ)

    def store(self, region: str | None) -> SecretStore:
        """Return AWS Secrets Manager as the store of pairs; *region* None stands for the region of the environment."""
        store = self._secrets_manager(region)
        # A cached answer stays the same, so there is nothing to wait for.
        return store if self.reads is not None else ConsistentStore(store=store, writes=self.writes)

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

    def given_resources(self, region: str | None) -> GivenResources:
        """Return IAM, SQS and SNS, for the roles, queues and topics that a definition names."""
        from ios_mdm.adapters.given import AwsGivenResources

        return AwsGivenResources(aws=self._aws(region))

    def probe(self) -> Probe:
        """Return the TLS probe."""
        from ios_mdm.adapters.reads import ReadsProbe
        from ios_mdm.adapters.tls_probe import TlsProbe

        return TlsProbe() if self.reads is None else ReadsProbe(probe=TlsProbe(), reads=self.reads)

    def ledger(self, url: str, region: str | None) -> Ledger:
        """Return the ledger at *url*. It is opened later.

        Args:
            url: URL of the ledger.
            region: AWS region of a DynamoDB table; None for the region of the environment.

        Raises:
            DefinitionError: *url* is not the URL of a ledger.
        """
        from ios_mdm.adapters.ledgers.opening import open_ledger

        return open_ledger(url, base=self.base, aws=partial(self._aws, region))

    def table_creation(self, url: str, region: str | None) -> TableCreation:
        """Create the DynamoDB table of a ledger, or complete it.

        Raises:
            DefinitionError: *url* is not the URL of a ledger in DynamoDB.
            StoreError: AWS refuses a call.
        """
        from ios_mdm.adapters.ledgers.dynamodb.creation import create_table
        from ios_mdm.adapters.ledgers.opening import table_name

        table = table_name(url)
        if table is None:
            raise DefinitionError(
                f"ledger: {url!r} is not the URL of a DynamoDB table: use dynamodb://table (3 to 255 letters, digits "
                "and . _ -). A ledger in SQLite is created by the first write"
            )
        return create_table(self._aws(region), table)

    def channel(self, settings: DistributionSettings, region: str | None) -> MdmChannel:
        """Return the channel of a definition with its API key, which is kept in memory only (R29).

        Raises:
            StoreError: AWS refuses a call.
            DefinitionError: The secret does not exist, is not for the channel's URL or holds no valid API key, or the
                settings are invalid.
        """
        channel = settings.channel.devices
        if channel is None:
            raise DefinitionError(f"{settings.channel.chosen.destination} is not an MDM server: it takes no commands")
        return channel.connect(self._channel_tools(region))

    def directory(self, settings: FileChannelSettings, region: str | None) -> ProfileDirectory:
        """Return the place of the files of a definition, for another tool that distributes the profile."""
        return settings.connect(self._channel_tools(region))

    def _channel_tools(self, region: str | None) -> ChannelTools:
        from ios_mdm.app.references import api_key
        from ios_mdm.settings.channels.channel import ChannelTools

        return ChannelTools(
            base=self.base,
            api_key=lambda key: api_key(self.values(region), key),
            folder=lambda path: self.folder(path, region),
        )

    def folder(self, path: str, region: str | None) -> Folder:
        """Return a folder that other tools read: a path relative to the project, or ``s3://bucket/prefix``."""
        from ios_mdm.adapters.folders import open_folder

        return open_folder(path, base=self.base, aws=self._aws(region))

    def check_channel(self, settings: DistributionSettings, region: str | None) -> None:
        """Check the preconditions of :meth:`channel` that can be checked without reading the API key.

        Raises:
            StoreError: AWS refuses a call.
            DefinitionError: The secret of the API key does not exist, or is not for the channel's URL.
        """
        from ios_mdm.app.references import check_api_key

        key = settings.channel.chosen.key
        if key is not None:
            check_api_key(self.values(region), key)

    def sealed_reader(self) -> SealedReader:
        """Return the reader of PFX files and encrypted keys. Its process starts with the first such file."""
        from ios_mdm.adapters.sealed_reader import shared_reader

        return shared_reader(self.environ.get("SYSTEMROOT"))

    # Use cases.

    @property
    def is_rehearsal(self) -> bool:
        """Whether the environment sets the clock."""
        from ios_mdm.adapters.clock import VARIABLE

        return bool(self.environ.get(VARIABLE))

    def pairs(self, region: str | None) -> PairReader:
        """Return the reader of pairs, which does not need cryptography."""
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
        promotion: PromotionSettings | None = None,
    ) -> Reconciler:
        """Return the reconciler, which changes a server to match its definition.

        Args:
            region: AWS region; None for the region of the environment.
            report: called with each line of progress.
            warn: called with each warning.
            custom: custom certificates of the definition; None if there are none.
            distribution: settings of the distribution; None if the profile is not distributed.
            promotion: settings of the switch, for its gate; None if the gate is not evaluated.
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
        deliveries = None if distribution is None else self.deliveries(distribution, region, report=report, warn=warn)
        gates = (
            None
            if distribution is None or promotion is None
            else self.gates(distribution, promotion, region, report=report)
        )
        return Reconciler(pairs, self.switches(region, report=report, warn=warn), deliveries, gates)

    def switches(
        self, region: str | None, *, report: Callable[[str], None], warn: Callable[[str], None]
    ) -> SwitchService:
        """Return the service that arms and disarms switches."""
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

    def gates(
        self,
        settings: DistributionSettings,
        promotion: PromotionSettings,
        region: str | None,
        *,
        report: Callable[[str], None] = lambda _line: None,
    ) -> GateService | None:
        """Return the service that evaluates gates; None if the definition has no gate."""
        from ios_mdm.app.gate import GateService

        if promotion.minimum_coverage is None or settings.ledger is None:
            return None
        return GateService(
            self.ledger(settings.ledger, region),
            self.store(region),
            self.clock(),
            rules=settings.ledger_rules,
            ignored_silent_days=promotion.ignore_silent_days,
            report=report,
        )

    def switch_mover(
        self, server: ServerSettings, aws: AwsSettings, *, report: Callable[[str], None], warn: Callable[[str], None]
    ) -> SwitchMover | None:
        """Return the mover of a server's armed switch; None if the definition has no gate."""
        from ios_mdm.app.switch_mover import SwitchMover

        settings = server.distribution
        gates = None if settings is None else self.gates(settings, server.promotion, aws.region, report=report)
        if settings is None or gates is None:
            return None
        return SwitchMover(
            server,
            aws,
            store=self.store(aws.region),
            clock=self.clock(),
            gates=gates,
            switches=self.switches(aws.region, report=report, warn=warn),
            devices=lambda: None if settings.is_for_all else self.devices(settings, aws.region),
        )

    def deliveries(
        self,
        settings: DistributionSettings,
        region: str | None,
        *,
        report: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> DeliveryService | FileDeliveryService:
        """Return the service that sends profiles, or writes them to files. It contacts the MDM server only to send."""
        from ios_mdm.app.delivery.files import FileDeliveryService
        from ios_mdm.app.delivery.service import DeliveryService

        files = settings.channel.files
        if files is not None:
            return FileDeliveryService(
                partial(self.directory, files, region), files, self.store(region), self.clock(), report=report
            )
        return DeliveryService(
            partial(self.channel, settings, region),
            self.store(region),
            None if settings.ledger is None else self.ledger(settings.ledger, region),
            self.clock(),
            report=report,
            warn=warn,
            rules=settings.ledger_rules,
        )

    def requested_commands(
        self, settings: DistributionSettings, region: str | None, *, report: Callable[[str], None]
    ) -> RequestedCommands:
        """Return the service that sends the commands that a user requests.

        Args:
            settings: settings of the distribution, with a ledger.
            region: AWS region; None for the region of the environment.
            report: receives each line of progress.

        Raises:
            DefinitionError: *settings* name no ledger.
        """
        from ios_mdm.app.delivery.requested import RequestedCommands

        return RequestedCommands(
            self.store(region),
            self.ledger(settings.ledger or "", region),
            partial(self.channel, settings, region),
            self.clock(),
            report=report,
        )

    def devices(self, settings: DistributionSettings, region: str | None) -> tuple[str, ...]:
        """Return the enrollment ids of the devices of a definition, sorted.

        Raises:
            DefinitionError: The list of devices is empty, has duplicates, or cannot be read.
        """
        from ios_mdm.app.devices import read_devices

        ledger = None if settings.ledger is None else self.ledger(settings.ledger, region)
        return read_devices(settings, ledger, base=self.base)

    def known_devices(self, settings: DistributionSettings, region: str | None) -> int | None:
        """Return the number of devices for a message, or None if it is unknown."""
        from ios_mdm.app.devices import known_devices

        return known_devices(settings, partial(self.ledger, region=region), base=self.base)

    def bundles(self, region: str | None) -> BundleReader:
        """Return the reader of custom certificates in files and in secrets of AWS."""
        from ios_mdm.app.bundles import BundleReader

        return BundleReader(
            base=self.base, environ=self.environ, secrets=self.values(region), sealed=self.sealed_reader()
        )

    def local_offers(self, server: ServerSettings, start: datetime, main: CertificateFacts | None) -> Offers:
        """Return the custom certificates of a new pair, read without AWS.

        A custom certificate in a secret of AWS is an error.

        Args:
            server: settings of the server.
            start: time of the first run, aware UTC.
            main: main certificate that the run issues; None if main is a custom certificate.
        """
        from ios_mdm.app.bundles import BundleReader
        from ios_mdm.app.offers import Offers
        from ios_mdm.app.recorded_offers import RecordedOffers

        reader = BundleReader(base=self.base, environ=self.environ, sealed=self.sealed_reader())
        return Offers.read(server, RecordedOffers(), reader, start, current=None, main=main)

    def read_offers(self, settings: PairSettings, before: RecordedOffers) -> ReadOffers:
        """Return the function that reads the custom certificates of a definition and checks them against the rules."""

        def read(*, current: CertificateFacts | None, main: CertificateFacts | None) -> Offers:
            from ios_mdm.app.offers import Offers

            reader = self.bundles(settings.aws.region)
            return Offers.read(settings.server, before, reader, self.clock().now(), current=current, main=main)

        return read

    def custom_certificates(self, settings: PairSettings, recorded: RecordedOffers) -> CustomCertificates | None:
        """Return the custom certificates of a definition, or None if there are none."""
        if not settings.server.has_custom_certificate:
            return None
        from ios_mdm.app.offers import OfferedCertificates

        return OfferedCertificates(
            server=settings.server, recorded=recorded, reader=self.bundles(settings.aws.region), clock=self.clock()
        )

    def sources(self, region: str | None) -> Sources:
        """Return the sources that ``status`` reads."""
        from ios_mdm.app.status.overview import Sources

        return Sources(
            store=self.store(region),
            scheduler=self.scheduler(region),
            prerequisites=self.prerequisites(region),
            given=self.given_resources(region),
            probe=self.probe(),
            clock=self.clock(),
            ledger=partial(self.ledger, region=region),
        )

    def watch_sources(self, region: str | None) -> WatchSources:
        """Return the sources of watched certificates."""
        from ios_mdm.adapters.watched_servers import HttpWatchedServers
        from ios_mdm.app.status.watched import WatchSources

        return WatchSources(servers=HttpWatchedServers(), secrets=self.values(region), clock=self.clock())

    def consumer(
        self, secret: str, directory: Path, command: Sequence[str], region: str | None, *, combined: bool = False
    ) -> Consumer:
        """Return the consumer, which keeps the files of a TLS server up to date with a pair."""
        from ios_mdm.app.consumer import Consumer

        return Consumer(
            source=self.values(region),
            secret=secret,
            directory=directory,
            command=command,
            environ=self.environ,
            combined=combined,
        )

    def collector(
        self,
        ledger: Ledger,
        *,
        hmac_key: bytes | None,
        hosts: Sequence[str],
        on_begun: Callable[[Sequence[str]], None] | None = None,
    ) -> Collector:
        """Return the handler for the events of an MDM server.

        Args:
            ledger: records the events.
            hmac_key: key of the events' signatures; None accepts unsigned events.
            hosts: host names that unsigned requests may use.
            on_begun: called with the ids of the devices whose enrollment began; None if nothing is sent to them.
        """
        from ios_mdm.app.collector.handler import Collector

        collector = Collector(ledger=ledger, clock=self.clock(), hmac_key=hmac_key, hosts=hosts)
        return collector if on_begun is None else replace(collector, on_begun=on_begun)

    def newcomers(
        self,
        settings: DistributionSettings,
        region: str | None,
        ledger: Ledger,
        *,
        servers_with_proof: Collection[str],
        wait: Callable[[float], bool],
    ) -> Newcomers:
        """Return the sender of the published profile to new devices of an MDM server.

        Args:
            settings: settings of the distribution through this MDM server.
            region: AWS region of the API key's secret; None for the region of the environment.
            ledger: the ledger with the published profiles.
            servers_with_proof: names of the servers for which a device is asked for its certificates.
            wait: waits a number of seconds; returns True without delay if the process stops.
        """
        from ios_mdm.app.collector.newcomers import Newcomers

        return Newcomers(
            ledger,
            self.clock(),
            url=settings.channel.chosen.destination,
            channel=partial(self.channel, settings, region),
            servers_with_proof=servers_with_proof,
            wait=wait,
        )

    def http_server(self, handler: HttpHandler, *, host: str, port: int) -> HttpServer:
        """Return an HTTP server for *handler*. It listens, but does not answer requests yet."""
        from ios_mdm.adapters.http_server import HttpServer

        return HttpServer(handler, host=host, port=port)
