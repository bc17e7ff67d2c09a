"""The requirements for a handshake and for a certificate, and the texts of their violations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.connection.certificates import certificate_findings
from ios_mdm.core.connection.demands import ATS_CIPHERS, Article, Demand, handshake_findings
from ios_mdm.core.connection.handshake import Handshake, Protocol, Refusal
from ios_mdm.core.connection.readiness import Verdict, certificate_notices, endpoint_readiness
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.pair.observed import ServedCertificate
from ios_mdm.core.pair.policies import connection_notices
from ios_mdm.core.x509.issuing import issue
from ios_mdm.core.x509.pem import chain
from tests.support.certificates import ANY, DAY, HOST, NOW, Chain, Spec

GOOD = Handshake(protocol=Protocol.TLS_1_2, cipher=ATS_CIPHERS[0], has_extended_master_secret=True)


def demands(handshake: Handshake) -> list[Demand]:
    """Return the violated requirements."""
    return [one.demand for one in handshake_findings(handshake)]


handshakes = st.builds(
    Handshake,
    protocol=st.none() | st.sampled_from(Protocol),
    cipher=st.sampled_from([*ATS_CIPHERS, "", "AES128-SHA", "ECDHE-RSA-CHACHA20-POLY1305", "0xFFFF"]),
    has_extended_master_secret=st.none() | st.booleans(),
    refusal=st.none() | st.sampled_from(Refusal),
)


@given(handshakes)
def test_only_a_connection_as_apple_requires_it_has_no_finding(handshake: Handshake) -> None:
    """TLS 1.3, or TLS 1.2 with ECDHE, AES-GCM and the extended master secret, on the first offer."""  # R48
    is_tls_1_2_good = (
        handshake.protocol is Protocol.TLS_1_2
        and handshake.cipher in ATS_CIPHERS
        and handshake.has_extended_master_secret is not False
    )
    is_good = handshake.protocol in {None, Protocol.TLS_1_3} or is_tls_1_2_good
    assert (demands(handshake) == []) == (is_good and handshake.refusal is None)


@given(handshakes)
def test_a_requirement_is_violated_once(handshake: Handshake) -> None:
    """The findings of an endpoint have different codes, and an old protocol version is the only finding."""  # R48
    found = demands(handshake)
    assert len(set(found)) == len(found)
    assert Demand.PROTOCOL not in found or len(found) == 1


def test_a_text_has_the_effect_the_article_the_cause_and_the_remedy() -> None:
    """Apple says "might refuse" about the announced requirements, so the text says it, too."""  # R48
    (finding,) = handshake_findings(Handshake(protocol=Protocol.TLS_1_1))
    assert finding.message("10.0.0.5:443, 10.0.0.6:443") == (
        "OS 27 might refuse connections to 10.0.0.5:443, 10.0.0.6:443 (Apple 126655): found TLS 1.1; required: TLS 1.2 "
        "or later. Enable TLS 1.2 and TLS 1.3 on the server (docs/connection.md)"
    )


def test_endpoints_with_the_same_finding_share_one_notice() -> None:
    """A warning for each of 32 endpoints hides other notices."""  # R48
    old, good = Handshake(protocol=Protocol.TLS_1_0), GOOD
    served = [
        ServedCertificate(endpoint=f"10.0.0.{number}:443", sha256="0" * 64, handshake=old if number else good)
        for number in range(3)
    ]
    blind = ServedCertificate(endpoint="10.0.0.9:443", sha256=None, problem="connection refused")
    (notice,) = connection_notices([*served, blind])
    assert (notice.reason, notice.severity) == ("tls-version", Severity.WARNING)
    assert "10.0.0.1:443, 10.0.0.2:443 (" in notice.message


def codes(leaf: Spec, *, host: str = HOST, days: float = 0) -> list[str]:
    """Return the codes of the findings for a leaf under a valid CA."""
    made = Chain(leaf=leaf).make()
    der = made.leaf.public_bytes(Encoding.DER)
    return [str(one.demand) for one in certificate_findings(der, host=host, now=NOW + days * DAY)]


LEAF = Chain().leaf


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (LEAF, []),
        (LEAF.but(key="rsa-2048"), []),
        (LEAF.but(key="p384", sans=("*.example.com",)), []),
        (LEAF.but(days=(-1, 824)), []),
        (LEAF.but(days=(-8000, 10)), []),
        (LEAF.but(key="rsa-2040"), ["certificate-key"]),
        (LEAF.but(key="rsa-1024"), ["certificate-key"]),
        (LEAF.but(key="ed25519"), ["certificate-key"]),
        (LEAF.but(key="k256"), ["certificate-key"]),
        (LEAF.but(hash=hashes.SHA224()), ["certificate-signature"]),
        (LEAF.but(days=(-1, 825)), ["certificate-validity"]),
        (LEAF.but(days=(1, 90)), ["certificate-dates"]),
        (LEAF.but(sans=("*.com", "example.com")), ["certificate-name"]),
        (LEAF.but(purposes=(ANY,)), ["certificate-purpose"]),
        (
            LEAF.but(key="rsa-1024", sans=(), purposes=None),
            ["certificate-key", "certificate-name", "certificate-purpose"],
        ),
    ],
)
def test_a_certificate_has_a_finding_for_each_defect(leaf: Spec, expected: list[str]) -> None:
    """The limits are those of Apple 103769."""  # R48
    assert codes(leaf) == expected


def test_an_article_is_named_for_each_finding() -> None:
    """Devices refuse SHA-1 today. SHA-224 is a matter of ATS only, which requires 256 bits."""  # R48
    found = {
        size: certificate_findings(
            Chain().but(leaf={"hash": algorithm}).make().leaf.public_bytes(Encoding.DER), host=HOST, now=NOW
        )[0]
        for size, algorithm in ((1, hashes.SHA1()), (224, hashes.SHA224()))  # noqa: S303 - the defect
    }
    assert found[1].article is Article.TRUSTED_CERTIFICATES
    assert found[1].message("a:1").startswith("iOS refuses connections to a:1 (Apple 103769): found a certificate that")
    assert found[224].article is Article.STRICTER_SECURITY


@pytest.mark.parametrize("key", [KeyType.RSA_2048, KeyType.EC_P256])
def test_an_issued_certificate_fulfills_every_requirement(key: KeyType) -> None:
    """Until it expires, and for its host only."""  # R48
    made = issue(HOST, key=key, validity_days=397, now=NOW)
    leaf = chain(made.certificate)[0]
    der = leaf.public_bytes(Encoding.DER)
    assert certificate_findings(der, host=HOST, now=NOW) == ()
    assert certificate_findings(der, host=HOST, now=leaf.not_valid_after_utc) == ()
    late = certificate_findings(der, host=HOST, now=leaf.not_valid_after_utc + timedelta(seconds=1))
    assert [one.demand for one in late] == [Demand.DATES]


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_damaged_certificate_never_raises(position: int, flip: int) -> None:
    """The certificate is that of a server that is not trusted."""  # R48
    der = bytearray(Chain().make().leaf.public_bytes(Encoding.DER))
    der[position % len(der)] ^= flip
    found = certificate_findings(bytes(der), host=HOST, now=NOW)
    assert all(one.message("a:1").isprintable() for one in found)


def test_bytes_without_a_certificate_have_one_finding() -> None:
    """Arbitrary bytes are one finding and no error."""  # R48
    assert [one.demand for one in certificate_findings(b"\x30\x00", host=HOST, now=NOW)] == [Demand.FORM]


def test_the_verdict_needs_a_completed_handshake() -> None:
    """Without a certificate, an endpoint is unknown or at risk, and never ready."""  # R48
    der = Chain().make().leaf.public_bytes(Encoding.DER)

    def verdict(handshake: Handshake | None) -> Verdict:
        served = ServedCertificate(endpoint="a:1", sha256=None, handshake=handshake)
        return endpoint_readiness(served, host=HOST, now=NOW).verdict

    full = Handshake(protocol=Protocol.TLS_1_3, cipher="TLS_AES_128_GCM_SHA256", certificate=der)
    assert verdict(full) is Verdict.READY
    assert verdict(GOOD) is Verdict.UNKNOWN
    assert verdict(None) is Verdict.UNKNOWN
    assert verdict(Handshake(protocol=None, refusal=Refusal.VERSION)) is Verdict.AT_RISK


def test_other_notices_have_the_handshake_and_the_dates() -> None:
    """The notices about certificates do not repeat those of a preview and those about expiry."""  # R48
    der = Chain().make().leaf.public_bytes(Encoding.DER)
    handshake = Handshake(protocol=Protocol.TLS_1_2, cipher="AES128-SHA", certificate=der)
    served = ServedCertificate(endpoint="a:1", sha256=None, handshake=handshake)
    found = endpoint_readiness(served, host="other.example.com", now=NOW + 9000 * DAY)
    assert {one.demand for one in found.findings} == {Demand.CIPHER, Demand.NAME, Demand.DATES}
    assert [notice.reason for notice in certificate_notices([found])] == ["certificate-name"]
