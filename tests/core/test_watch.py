"""The certificate of a watched source, and the notices about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from ios_mdm.core.bundle.model import BundleError
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.watch import WatchedCertificate, first_to_expire, watch_notices
from ios_mdm.errors import WatchError
from tests.support.certificates import LEAF, NOW, Chain, SelfSigned, pem, private_pem

TOPIC = "com.apple.mgmt.External.e3b8ceac-1f18-2c8e-8a63-dd17d99435d9"
SECOND = timedelta(seconds=1)


def certificate(days: float, *, topic: str | None = None, validity: float = 365) -> WatchedCertificate:
    """Return a certificate that expires this many days after NOW."""
    end = NOW + timedelta(days=days) - SECOND
    return WatchedCertificate(not_after=end, not_before=end + SECOND - timedelta(days=validity), topic=topic)


def severity(one: WatchedCertificate, *, topic: str | None = None, warn_days: int | None = None) -> str:
    """Return the reasons and severities of the notices."""
    found = watch_notices(one, topic=topic, warn_days=warn_days, renewal="renew it", now=NOW)
    return " ".join(f"{notice.reason}:{notice.severity}" for notice in found)


@pytest.mark.parametrize("form", ["pem", "der", "pkcs7-der", "pkcs7-pem"])
def test_a_certificate_is_read_in_each_form(form: str) -> None:
    """PEM, DER and PKCS #7 give the same values."""
    leaf = SelfSigned().make().leaf
    content = {
        "pem": pem(leaf),
        "der": leaf.public_bytes(Encoding.DER),
        "pkcs7-der": pkcs7.serialize_certificates([leaf], Encoding.DER),
        "pkcs7-pem": pkcs7.serialize_certificates([leaf], Encoding.PEM),
    }[form]
    found = first_to_expire(content)
    assert found.not_after == leaf.not_valid_after_utc
    assert found.subject == leaf.subject.rfc4514_string()
    assert found.topic is None


def test_the_first_certificate_to_expire_counts() -> None:
    """An issuing CA that expires before its leaf is the expiry of the chain."""
    made = Chain().but(issuing={"days": (-900, 20)}).make()
    assert first_to_expire(pem(*made.chain)).subject == "CN=Issuing"


def test_the_topic_is_the_uid_of_the_subject() -> None:
    """Apple writes the topic of a push certificate into the UID."""
    name = x509.Name(
        [x509.NameAttribute(NameOID.USER_ID, TOPIC), x509.NameAttribute(NameOID.COMMON_NAME, f"APSP:{TOPIC[24:]}")]
    )
    assert first_to_expire(pem(SelfSigned(leaf=LEAF.but(name=name)).make().leaf)).topic == TOPIC


def test_a_private_key_is_an_error_without_its_text() -> None:
    """The error says that the file has a private key, and quotes none of it."""  # R29 R39
    made = SelfSigned().make()
    key = private_pem(made.keys[0])
    for content in (pem(made.leaf) + key, key):
        with pytest.raises(WatchError, match="contains a private key") as raised:
            first_to_expire(content)
        assert not any(line in str(raised.value) for line in key.decode().splitlines())


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\n"])
def test_content_without_a_certificate_is_an_error(content: bytes) -> None:
    """The error is one of the reader of bundles."""
    with pytest.raises(BundleError):
        first_to_expire(content)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (31, ""),
        (30, "watched-expiring:warning"),
        (8, "watched-expiring:warning"),
        (7.5, "watched-expiring:critical"),
        (0, "watched-expired:critical"),
        (-1, "watched-expired:critical"),
    ],
)
def test_the_warning_starts_30_days_before_the_expiry(days: float, expected: str) -> None:
    """The last quarter of the window is critical, and so is an expired certificate."""
    assert severity(certificate(days)) == expected


def test_the_window_of_a_short_lived_certificate_is_a_sixth_of_its_validity() -> None:
    """A certificate of 47 days has no warning at 8 days left."""  # R49
    assert severity(certificate(8, validity=47)) == ""
    assert severity(certificate(7, validity=47)) == "watched-expiring:warning"


def test_warn_days_replaces_the_default() -> None:
    """The critical part of the window is a quarter of it."""
    assert severity(certificate(90), warn_days=90) == "watched-expiring:warning"
    assert severity(certificate(22), warn_days=90) == "watched-expiring:critical"


def test_an_unknown_start_counts_as_a_validity_of_a_year() -> None:
    """NanoMDM reports only the end of the validity."""
    end = WatchedCertificate(not_after=NOW + timedelta(days=30) - SECOND)
    assert severity(end) == "watched-expiring:warning"
    assert severity(WatchedCertificate(not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))) == ""


@pytest.mark.parametrize("topic", [None, "com.apple.mgmt.External.other"])
def test_another_topic_is_critical(topic: str | None) -> None:
    """The notice has both topics, and the expiry is checked, too."""
    one = certificate(20, topic=topic)
    found = watch_notices(one, topic=TOPIC, warn_days=None, renewal="renew it", now=NOW)
    assert [notice.severity for notice in found] == [Severity.CRITICAL, Severity.WARNING]
    assert TOPIC in found[0].message
    assert topic is None or topic in found[0].message
    assert severity(certificate(200, topic=TOPIC), topic=TOPIC) == ""
