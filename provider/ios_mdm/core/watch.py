"""Watched certificates: the first certificate of a source to expire, and the notices about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.x509.oid import NameOID

from ios_mdm.core.bundle.certificates import read_certificates
from ios_mdm.core.bundle.form import Kind, parts
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.windows import warning_window
from ios_mdm.core.text import printable
from ios_mdm.core.times import shifted_time
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.errors import WatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

__all__ = ["WatchedCertificate", "first_to_expire", "watch_notices"]

_KEYS = {Kind.KEY, Kind.ENCRYPTED_KEY}
_SECOND = timedelta(seconds=1)
_LONG_VALIDITY = timedelta(days=365)
"""Validity of a push certificate of Apple, for a source that reports only the end."""
_CRITICAL_SHARE = 4
"""The last quarter of the warning window is critical."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedCertificate:
    """A certificate of a source.

    Args:
        not_after: end of validity, inclusive, aware UTC.
        not_before: start of validity, aware UTC; None if unknown.
        subject: subject as text of RFC 4514; None if unknown.
        sha256: fingerprint, 64 hex digits; None if unknown.
        topic: APNs topic, which is the UID in the subject of a push certificate; None if it has none.
    """

    not_after: datetime
    not_before: datetime | None = None
    subject: str | None = None
    sha256: str | None = None
    topic: str | None = None

    @property
    def expiry(self) -> datetime:
        """The first second after the validity, aware UTC."""
        return shifted_time(self.not_after, _SECOND)

    def days_left(self, now: datetime) -> int:
        """Return the whole days until the end of validity; 0 after it."""
        return max(self.expiry - now, timedelta()).days


def first_to_expire(data: bytes) -> WatchedCertificate:
    """Return the certificate that expires first, of a file or answer in PEM, DER or PKCS #7.

    A chain is as good as its first certificate to expire.

    Raises:
        WatchError: *data* has a private key.
        BundleError: *data* has no certificate that can be read.
    """
    if any(part.kind in _KEYS for part in parts(data)):
        raise WatchError("it contains a private key, which is not needed here: name a file with certificates only")
    return _values(min(read_certificates(data).certificates, key=lambda one: one.not_valid_after_utc))


def watch_notices(
    certificate: WatchedCertificate, *, topic: str | None, warn_days: int | None, renewal: str, now: datetime
) -> Sequence[Notice]:
    """Return the notices about the topic and the expiry of a certificate.

    Args:
        certificate: certificate of the source.
        topic: expected APNs topic; None if any certificate is expected.
        warn_days: time of the warning before the expiry; None for a sixth of the validity, at most 30 days.
        renewal: instruction to renew the certificate, for the message.
        now: current time, aware UTC.
    """
    found: list[Notice] = []
    if topic is not None and certificate.topic != topic:
        has = "has no topic" if certificate.topic is None else f"has the topic {printable(certificate.topic)}"
        found.append(
            Notice(
                reason="watched-topic",
                severity=Severity.CRITICAL,
                message=(
                    f"the push certificate {has} instead of {topic}: devices that enrolled with {topic} get no push "
                    "notifications. Renew the certificate of this topic instead of creating a new one, and upload it "
                    "again"
                ),
            )
        )
    start, expiry = certificate.not_before, certificate.expiry
    window = warning_window(warn_days, _LONG_VALIDITY if start is None else max(expiry - start, timedelta()))
    if now >= expiry:
        found.append(_expiry("watched-expired", Severity.CRITICAL, f"expired: {renewal}", expiry))
    elif now >= shifted_time(expiry, -window):
        is_critical = now >= shifted_time(expiry, -window / _CRITICAL_SHARE)
        severity = Severity.CRITICAL if is_critical else Severity.WARNING
        found.append(_expiry("watched-expiring", severity, f"expires soon: {renewal}", expiry))
    return found


def _expiry(reason: str, severity: Severity, message: str, due: datetime) -> Notice:
    return Notice(reason=reason, severity=severity, message=message, due=due)


def _values(certificate: x509.Certificate) -> WatchedCertificate:
    topics = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
    return WatchedCertificate(
        not_after=certificate.not_valid_after_utc,
        not_before=certificate.not_valid_before_utc,
        subject=certificate.subject.rfc4514_string(),
        sha256=fingerprint(certificate),
        topic=str(topics[0].value) if topics else None,
    )
