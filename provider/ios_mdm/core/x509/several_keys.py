"""Errors for a bundle with several private keys, if the key for the connection address is not clear (R18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.bundle.model import BundleError
from ios_mdm.core.times import rfc3339
from ios_mdm.core.x509.names import display_name, dns_names, excerpt, has_name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryptography import x509

    from ios_mdm.core.bundle.model import Bundle

__all__ = ["ambiguity_error", "check_hidden_keys"]

_EXPORT = (
    "keytool -importkeystore -srckeystore FILE -srcstoretype PKCS12 -srcalias NAME -destkeystore bundle.p12 "
    "-deststoretype PKCS12 (keytool -list -keystore FILE shows the names)"
)


def check_hidden_keys(bundle: Bundle, owned: Iterable[x509.Certificate], host: str) -> None:
    """Check that no other key of a PFX could be the key for the connection address.

    The library returns only the first private key of a PFX. A certificate for *host* that belongs to no returned key
    shows that the needed key can be another one.

    Args:
        bundle: contents of the file.
        owned: certificates of the returned keys.
        host: connection address without its port, in A-labels.

    Raises:
        BundleError: There is such a certificate.
    """
    if not bundle.first_key_only:
        return
    first = list(owned)
    others = [one for one in bundle.certificates if has_name_of(one, host) and one not in first]
    if others:
        raise BundleError(
            f"the PFX file can hold several private keys, and only the first one is read, which belongs to "
            f"{_entries(first, bundle.names) or 'no certificate of the file'}. Other certificates for {host}: "
            f"{_entries(others, bundle.names)}. Export the needed entry into a separate file: {_EXPORT}",
            code="no-key",
        )


def ambiguity_error(
    certificates: Sequence[x509.Certificate], bundle: Bundle, host: str, *, fitting: int
) -> BundleError:
    """Return the error for several private keys, of which not exactly one is for the connection address.

    Args:
        certificates: certificates of the keys for *host*, or of all keys if no key is for *host*.
        bundle: contents of the file.
        host: connection address without its port, in A-labels.
        fitting: number of keys for *host*.
    """
    which = f"{fitting} of them have a certificate" if fitting else "none of them has a certificate"
    return BundleError(
        f"the file holds {len(bundle.keys)} private keys, and {which} for {host}: "
        f"{_entries(certificates, bundle.names) or 'no certificate belongs to them'}. "
        f"Keep only the private key for {host} and its certificate",
        code="no-key",
    )


def _entries(certificates: Iterable[x509.Certificate], names: Mapping[x509.Certificate, str]) -> str:
    """Return certificates for a message: name, friendly name, DNS names, serial number and expiry of each."""
    return ", ".join(_entry(one, names.get(one)) for one in certificates)


def _entry(certificate: x509.Certificate, name: str | None) -> str:
    parts = (
        () if name is None else (f'friendly name "{name}"',),
        (excerpt(", ".join(dns_names(certificate))) or "no DNS name",),
        (f"serial number {certificate.serial_number:x}",),
        (f"expires {rfc3339(certificate.not_valid_after_utc)}",),
    )
    return f"{display_name(certificate)} ({', '.join(text for part in parts for text in part)})"
