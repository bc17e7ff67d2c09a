"""Reads the watched certificates of a definition: their expiry and their topic. Renews nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.app.references import api_key
from ios_mdm.app.status.overview import Level
from ios_mdm.core.bundle.form import MAX_BUNDLE_BYTES
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.watch import first_to_expire, watch_notices
from ios_mdm.errors import IosMdmError, WatchError
from ios_mdm.files import file_content

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.core.watch import WatchedCertificate
    from ios_mdm.ports import Clock, SecretBytes, WatchedServers
    from ios_mdm.settings import NanoMdmApiSettings, WatchSettings

__all__ = ["WatchSources", "Watched", "watch_status"]

_PUSH_RENEWAL = (
    "renew it at identity.apple.com/pushcert with the Apple Account that created it, and upload it to the MDM server"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSources:
    """The ports that watched certificates are read from.

    Args:
        servers: servers that have watched certificates.
        secrets: reads the API keys of MDM servers.
        clock: read once for each certificate.
    """

    servers: WatchedServers
    secrets: SecretBytes
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Status of a watched certificate.

    Args:
        name: name of the entry in the definition.
        source: kind of the source and its path or URL, as text.
        certificate: certificate of the source; None if it could not be read.
        notices: notices for the user.
        now: time of the status, aware UTC.
    """

    name: str
    source: str
    certificate: WatchedCertificate | None
    notices: tuple[Notice, ...]
    now: datetime

    @property
    def level(self) -> Level:
        """The worst level of the notices."""
        return Level.of(self.notices)

    @property
    def days_left(self) -> int | None:
        """Whole days until the end of validity; None if unknown."""
        return None if self.certificate is None else self.certificate.days_left(self.now)


def watch_status(entry: WatchSettings, sources: WatchSources, *, base: Path) -> Watched:
    """Return the status of a watched certificate. A source that cannot be read is a warning.

    Args:
        entry: entry of the definition.
        sources: ports to read from.
        base: folder of the project.
    """
    now = sources.clock.now()
    certificate: WatchedCertificate | None = None
    try:
        certificate = _certificate(entry, sources, base)
        if certificate is not None:
            renewal = "renew it" if entry.topic is None else _PUSH_RENEWAL
            notices = tuple(
                watch_notices(certificate, topic=entry.topic, warn_days=entry.warn_days, renewal=renewal, now=now)
            )
        else:
            notices = (
                _notice(
                    "watched-topic",
                    Severity.CRITICAL,
                    f"the MDM server has no push certificate for the topic {entry.topic}: devices that enrolled with "
                    "it get no push notifications. Correct topic, or upload the renewed certificate of this topic",
                ),
            )
    except IosMdmError as error:
        notices = (_notice("watched-unreadable", Severity.WARNING, f"the expiry is unknown: {error}"),)
    return Watched(name=entry.name, source=_source(entry), certificate=certificate, notices=notices, now=now)


def _certificate(entry: WatchSettings, sources: WatchSources, base: Path) -> WatchedCertificate | None:
    """Return the certificate of the source; None if a NanoMDM server has none for the topic.

    Raises:
        IosMdmError: The source cannot be read.
    """
    if entry.file is not None:
        content, where = file_content(base / entry.file, limit=MAX_BUNDLE_BYTES, named=entry.file), entry.file
    elif entry.scep is not None:
        where = f"the SCEP server at {entry.scep.url}"
        content = sources.servers.ca_certificates(entry.scep.url, ca_file=_path(entry.scep.ca_file, base))
    else:
        assert entry.nanomdm is not None  # noqa: S101 - the settings have exactly one source
        return _push_certificate(entry, entry.nanomdm, sources, base)
    try:
        return first_to_expire(content)
    except IosMdmError as error:
        raise WatchError(f"{where}: {error}") from None


def _push_certificate(
    entry: WatchSettings, nanomdm: NanoMdmApiSettings, sources: WatchSources, base: Path
) -> WatchedCertificate | None:
    return sources.servers.push_certificate(
        nanomdm.url,
        api_key=api_key(sources.secrets, nanomdm.key, within=f"watch {entry.name}: "),
        topic=entry.topic or "",
        ca_file=_path(nanomdm.ca_file, base),
    )


def _path(file: str | None, base: Path) -> str | None:
    return None if file is None else str(base / file)


def _source(entry: WatchSettings) -> str:
    if entry.nanomdm is not None:
        return f"push certificate in NanoMDM, {entry.nanomdm.url}"
    return f"file {entry.file}" if entry.scep is None else f"SCEP CA, {entry.scep.url}"


def _notice(reason: str, severity: Severity, message: str) -> Notice:
    return Notice(reason=reason, severity=severity, message=message)
