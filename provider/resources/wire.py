"""What the engine sends and takes: plain dicts with numbers as floats and unknown values as objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pulumi.output import Unknown

if TYPE_CHECKING:
    from provider.core.decision import Desired
    from provider.service import PublicCertificate

__all__ = ["Wire", "certificate_block", "desired_block", "known", "name_of", "plain", "text"]

Wire = dict[str, object]
"""A resource's inputs or outputs: JSON values, ``Unknown`` among them in previews."""


def plain(value: object) -> object:
    """Return *value* with the engine's floats as the whole numbers that they were, and its own dicts as dicts."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        # `__provider` and other keys of the engine's are none of our business.
        return {str(key): plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def known(value: object) -> bool:
    """Return whether *value* holds nothing that is known only after an effect."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return True


def name_of(ordinal: int | None) -> str:
    """Return how a certificate is called in state and output."""
    return "none" if ordinal is None else f"certificate {ordinal}"


def desired_block(desired: Desired) -> Wire:
    """Return the desired state as the input block that previews show. It holds nothing that changes by being done."""
    return {
        "phase": str(desired.phase),
        "main": name_of(desired.main),
        "reserve": name_of(desired.reserve),
        "trusted": [name_of(ordinal) for ordinal in desired.trusted],
        "reason": desired.reason,
    }


def certificate_block(certificate: PublicCertificate) -> Wire:
    """Return what R14 shows of a certificate, with its PEM chain; everything is public."""
    details = certificate.details
    return {
        "subject": details.subject,
        "issuer": details.issuer,
        "sans": list(details.sans),
        "serialNumber": details.serial_number,
        "sha256": details.sha256,
        "key": details.key,
        "notBefore": text(details.not_before),
        "notAfter": text(details.not_after),
        "source": str(certificate.facts.source),
        "pem": certificate.pem,
    }


def text(moment: datetime | None) -> str | None:
    """Return a moment as RFC 3339 text in UTC."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
