"""The resource ``ProfileDistribution``: a pair's public certificates on every device, in a configuration profile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, CreateResult, ReadResult, Resource, UpdateResult

from ios_mdm.core.pair.decision import Phase, Severity
from ios_mdm.errors import DefinitionError, IosMdmError, StoreError
from ios_mdm.resources.engine import progress, tell
from ios_mdm.resources.hooks import InputsProvider, refusal
from ios_mdm.resources.wire import known, plain
from ios_mdm.settings import AwsSettings, DistributionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi

    from ios_mdm.ports import Ledger, MdmChannel
    from ios_mdm.resources.wire import Wire

__all__ = ["ProfileDistribution", "ProfileDistributionProvider"]


class ProfileDistributionProvider(InputsProvider):
    """Translates between the engine and :class:`ios_mdm.app.delivery.Distributor`."""

    inputs = (
        "server",
        "secret",
        "host",
        "aws",
        "distribution",
        "trusted",
        "pems",
        "deviceCount",
        "devicesSha256",
        "revision",
    )

    def check(self, _olds: Mapping[str, object], news: Mapping[str, object]) -> CheckResult:
        """Read the list of devices, and tell whether there is another profile to send; send nothing."""
        from ios_mdm.app.delivery import devices_digest, read_devices  # noqa: PLC0415 - not in the program's process

        olds, inputs = cast("Wire", plain(_olds)), cast("Wire", plain(news))
        phase = inputs.pop("phase", None)
        if not known(inputs["pems"]) and olds and olds["trusted"] == inputs["trusted"]:
            # While the pair is updated its PEMs are unknown, but certificates of the same numbers are the same.
            inputs["pems"] = olds["pems"]
        try:
            ledger = _ledger(_settings(inputs))
            devices = read_devices(_settings(inputs), ledger, base=Path.cwd())
            inputs |= {"deviceCount": len(devices), "devicesSha256": devices_digest(devices)}
            if phase == Phase.CONNECTION_LOST:
                _tell_of_reenrolment(str(inputs["server"]), devices)
            inputs["revision"] = _revision(olds, inputs, ledger)
            if known(inputs["pems"]):
                _profile(inputs)
        except IosMdmError as error:
            return CheckResult(inputs, [refusal(error)])
        return CheckResult(inputs, [])

    def create(self, props: Mapping[str, object]) -> CreateResult:
        """Queue the profile for every device."""
        inputs = cast("Wire", plain(props))
        return CreateResult(f"{inputs['server']}-profile", _distributed(inputs))

    def update(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> UpdateResult:
        """Queue another profile for every device, or the same one for those that it was not queued for."""
        return UpdateResult(_distributed(cast("Wire", plain(_news))))

    def read(self, id_: str, props: Mapping[str, object]) -> ReadResult:
        """Tell what was sent. What devices have changes daily and is in the ledger, not in state."""
        return ReadResult(id_, dict(cast("Wire", plain(props))))

    def delete(self, _id: str, _props: Mapping[str, object]) -> None:
        """Leave the profile on the devices: a certificate that a server still serves must stay trusted (R32)."""
        server, distribution = str(_props["server"]), _settings(cast("Wire", plain(_props)))
        tell(server, Severity.NOTICE, f"the profile {distribution.profile.identifier} stays on the devices")


class ProfileDistribution(Resource, module="ios-mdm", name="ProfileDistribution"):
    """The configuration profile with a pair's public certificates, on the devices of one server.

    Args:
        name: of the resource: the server's.
        inputs: ``server``, ``secret`` (the pair's), ``host``, ``aws``, ``distribution``, ``trusted`` (names of
            certificates), ``pems`` (name to PEM chain), and ``phase``, which is told of and not kept.

    Attributes:
        profile: the .mobileconfig, as text.
        profileSha256: its SHA-256, 64 hex digits.
        deviceCount: how many devices it is for.
        revision: counts the profiles of this server.
    """

    if TYPE_CHECKING:  # as in CertificatePair
        profile: pulumi.Output[str]
        profileSha256: pulumi.Output[str]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        deviceCount: pulumi.Output[int]  # noqa: N815 - the same
        revision: pulumi.Output[int]

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"profile": None, "profileSha256": None, "deviceCount": None, "revision": None}
        super().__init__(ProfileDistributionProvider(), name, {**inputs, **outputs}, opts)


def _settings(inputs: Wire) -> DistributionSettings:
    return DistributionSettings.model_validate(inputs["distribution"])


def _ledger(settings: DistributionSettings) -> Ledger | None:
    from ios_mdm.adapters.ledgers.sqlite import open_ledger  # noqa: PLC0415 - not in the program's process

    return None if settings.ledger is None else open_ledger(settings.ledger, base=Path.cwd())


def _tell_of_reenrolment(server: str, devices: Sequence[str]) -> None:
    from ios_mdm.app.reenrollment import to_reenrol  # noqa: PLC0415 - rarely needed

    notice = to_reenrol(server, devices, base=Path.cwd())
    tell(server, notice.severity, notice.message)


def _revision(olds: Wire, news: Wire, ledger: Ledger | None) -> int:
    """Return the number of the profile: another content is another one.

    Where the pair is yet to be updated, as in a preview, another set of certificates counts for that. It need not be:
    certificates under one root need no new profile (R16).

    It starts above what a stack that was destroyed since has sent: a number that came back would be a CommandUUID that
    comes back, and the MDM server would take a new command for a repetition.
    """
    if not olds:
        return 1 + (0 if ledger is None else ledger.commands(str(news["server"])))
    if known(news["pems"]):
        same = _profile(olds) == _profile(news)
    else:
        before, after = (cast("Wire", wire["distribution"])["profile"] for wire in (olds, news))
        same = olds["trusted"] == news["trusted"] and before == after and olds["host"] == news["host"]
    return int(cast("int", olds["revision"])) + (0 if same else 1)


def _profile(inputs: Wire) -> bytes:
    from ios_mdm.core.profile import trust_profile  # noqa: PLC0415 - not in the program's process

    settings = _settings(inputs)
    pems = cast("Wire", inputs["pems"])
    return trust_profile(
        [str(pem) for pem in pems.values()],
        identifier=settings.profile.identifier,
        server=str(inputs["server"]),
        host=str(inputs["host"]),
        organization=settings.profile.organization,
    )


def _distributed(inputs: Wire) -> Wire:
    from ios_mdm.adapters.clock import clock_from_environment  # noqa: PLC0415 - not in the program's process
    from ios_mdm.app.delivery import Delivery, Distributor, read_devices  # noqa: PLC0415 - the same

    settings = _settings(inputs)
    ledger = _ledger(settings)
    delivery = Delivery(
        server=str(inputs["server"]),
        profile=_profile(inputs),
        revision=int(cast("int", inputs["revision"])),
        enrollment_ids=read_devices(settings, ledger, base=Path.cwd()),
    )
    distributor = Distributor(
        _channel(inputs, settings), ledger, clock_from_environment(os.environ), report=progress(delivery.server)
    )
    distributor.distribute(delivery)
    _note_sent(inputs)
    return {**inputs, "profile": delivery.profile.decode(), "profileSha256": delivery.digest}


def _note_sent(inputs: Wire) -> None:
    """Note in the pair's secret what the devices were sent: nothing else is promoted before main expires (R15)."""
    from ios_mdm.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - not in the program's process
    from ios_mdm.core.pair.layout import SENT_TAG, sent_value  # noqa: PLC0415 - the same

    store, secret = SecretsManager(region=AwsSettings.model_validate(inputs["aws"]).region), str(inputs["secret"])
    value = sent_value(int(str(name).rpartition(" ")[2]) for name in cast("Sequence[object]", inputs["trusted"]))
    found = store.describe(secret)
    if found is not None and found.tags.get(SENT_TAG) != value:
        store.tag(secret, {SENT_TAG: value})


def _channel(inputs: Wire, settings: DistributionSettings) -> MdmChannel:
    """Return the channel that the definition names, with its API key, which lives in memory only (R29)."""
    from ios_mdm.adapters.nanomdm import NanoMdm  # noqa: PLC0415 - not in the program's process
    from ios_mdm.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - the same

    nanomdm = settings.channel.nanomdm
    store = SecretsManager(region=AwsSettings.model_validate(inputs["aws"]).region)
    api_key = store.current_value(nanomdm.api_key_secret)
    if api_key is None:
        raise StoreError(
            f"distribution.channel.nanomdm.apiKeySecret: there is no secret {nanomdm.api_key_secret}: create it with "
            "the MDM server's API key as its value"
        )
    if not api_key.strip():
        raise DefinitionError(f"the secret {nanomdm.api_key_secret} of apiKeySecret is empty")
    ca_file = None if nanomdm.ca_file is None else str(Path.cwd() / nanomdm.ca_file)
    return NanoMdm(url=nanomdm.url, api_key=api_key.strip(), ca_file=ca_file, push=nanomdm.push)
