"""The configuration profile: the exact bytes that devices get, without any private key."""

from __future__ import annotations

import base64
import plistlib
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid5

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import certificate_digests, install_profile_command, profile_digest, trust_profile
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.issuing import issue
from ios_mdm.core.x509.pem import CertificateError, chain
from ios_mdm.errors import DefinitionError
from tests.support.apple_schema import command_violations, profile_violations

HOST = "mdm.example.com"
IDENTIFIER = "com.example.mdm.trust.berlin"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
MAIN, RESERVE, NEXT = (
    issue(HOST, key=KeyType.EC_P256, validity_days=397, now=NOW + timedelta(days=300 * number)) for number in range(3)
)

ROOT = trustme.CA()
INTERMEDIATE = ROOT.create_child_ca()
LEAVES = [INTERMEDIATE.issue_cert(HOST) for _ in range(2)]


def _profile(*chains: str, identifier: str = IDENTIFIER, organization: str | None = "Example") -> bytes:
    return trust_profile(chains, identifier=identifier, server="berlin", host=HOST, organization=organization)


def _custom(leaf: trustme.LeafCert) -> str:
    return "".join(blob.bytes().decode() for blob in (*leaf.cert_chain_pems, ROOT.cert_pem))


def _payloads(profile: bytes) -> list[dict[str, Any]]:
    payloads: list[dict[str, Any]] = plistlib.loads(profile)["PayloadContent"]
    return payloads


def _der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def _identity(payload: dict[str, Any]) -> tuple[str, str]:
    return payload["PayloadIdentifier"], payload["PayloadUUID"]


PAIR = _profile(MAIN.chain, RESERVE.chain)


@pytest.mark.parametrize(
    "profile",
    [
        _profile(MAIN.chain),
        PAIR,
        _profile(MAIN.chain, RESERVE.chain, organization=None),
        _profile(*(_custom(leaf) for leaf in LEAVES)),
        _profile(MAIN.chain, _custom(LEAVES[0])),
    ],
    ids=["main", "main and reserve", "no organization", "custom", "issued and custom"],
)
def test_apple_accepts_the_profile(profile: bytes) -> None:
    """Keys, types and values follow Apple's schema, and all required keys are there."""  # R15
    assert profile_violations(profile) == []


def test_the_schema_check_finds_what_is_wrong() -> None:
    """Control for the test above: each violation of the schema is reported."""
    broken = plistlib.loads(PAIR)
    broken |= {"PayloadType": "Other", "Surprise": 1, "PayloadVersion": True, "PayloadScope": "Everything"}
    del broken["PayloadUUID"]
    broken["PayloadContent"][0]["PayloadContent"] = "text"
    broken["PayloadContent"][1]["PayloadType"] = "com.apple.security.pkcs12"
    broken["PayloadContent"].append(broken["PayloadContent"][0])
    found = profile_violations(plistlib.dumps(broken))
    parts = ["PayloadUUID is missing", "Surprise is unknown", "'Other' is not one of", "PayloadVersion: must be"]
    parts += ["'Everything' is not one of", "PayloadContent: must be <data>", "pkcs12", "occurs twice"]
    for part in parts:
        assert any(part in violation for violation in found), (part, found)


def test_the_profile_holds_the_roots_of_main_and_reserve() -> None:
    """The profile holds the one-time root of each as DER, in a root payload, and nothing else."""  # R15, R31
    payloads = _payloads(PAIR)
    assert [payload["PayloadType"] for payload in payloads] == ["com.apple.security.root"] * 2
    assert [payload["PayloadContent"] for payload in payloads] == [_der(MAIN.root), _der(RESERVE.root)]


@pytest.mark.parametrize("credential", [MAIN, RESERVE], ids=["main", "reserve"])
def test_no_private_key_is_in_the_profile(credential: Any) -> None:
    """Neither the PEM, nor the DER, nor the secret number of a key is in the profile in any encoding."""  # R15, R29
    key = load_pem_private_key(credential.private_key.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    contents = b"".join(payload["PayloadContent"] for payload in _payloads(PAIR))
    assert b"PRIVATE KEY" not in PAIR
    for haystack in (PAIR, contents, b"".join(PAIR.split())):
        for needle in (number, der, number.hex().encode(), base64.b64encode(der), base64.b64encode(number)):
            assert needle not in haystack


@pytest.mark.parametrize(
    "pem",
    [
        MAIN.private_key,
        MAIN.certificate + MAIN.private_key,
        MAIN.private_key + MAIN.certificate,
        MAIN.certificate + LEAVES[0].private_key_pem.bytes().decode(),
    ],
)
def test_a_private_key_never_gets_as_far_as_the_profile(pem: str) -> None:
    """A chain that contains a private key is refused, and the error does not repeat the key."""  # R15, R29
    with pytest.raises(CertificateError, match="private key") as caught:
        _profile(MAIN.chain, pem)
    assert not [line for line in pem.splitlines() if line in str(caught.value)]


def test_a_promotion_does_not_change_the_profile() -> None:
    """The bytes do not show which certificate is main."""  # R16
    assert _profile(RESERVE.chain, MAIN.chain) == PAIR


@given(order=st.permutations([MAIN.chain, RESERVE.chain, NEXT.chain, _custom(LEAVES[0])]))
def test_equal_certificates_give_equal_bytes(order: list[str]) -> None:
    """The order, repetitions and the line ends of a PEM file do not change the bytes."""
    profile = _profile(MAIN.chain, RESERVE.chain, NEXT.chain, _custom(LEAVES[0]))
    assert _profile(*order, order[0]) == profile
    assert _profile(*(pem.replace("\n", "\r\n") for pem in order)) == profile
    assert profile_digest(_profile(*order)) == profile_digest(profile)


def test_the_next_profile_replaces_this_one() -> None:
    """The profile keeps its identifier and gets a new UUID; the payload of a kept certificate keeps both."""  # R17
    before, after = PAIR, _profile(RESERVE.chain, NEXT.chain)
    old, new = plistlib.loads(before), plistlib.loads(after)
    assert old["PayloadIdentifier"] == new["PayloadIdentifier"] == IDENTIFIER
    assert old["PayloadUUID"] != new["PayloadUUID"]
    assert [_identity(payload) for payload in _payloads(before)][1] == _identity(_payloads(after)[0])
    assert len({_identity(payload) for payload in _payloads(before) + _payloads(after)}) == 3


def test_every_identifier_and_uuid_is_unique() -> None:
    """Two servers with the same certificate have no common UUID, and neither have a profile and its payloads."""
    uuids = []
    for identifier in (IDENTIFIER, IDENTIFIER + ".other"):
        profile = _profile(MAIN.chain, RESERVE.chain, identifier=identifier)
        uuids += [plistlib.loads(profile)["PayloadUUID"], *(payload["PayloadUUID"] for payload in _payloads(profile))]
    assert len(set(uuids)) == len(uuids) == 6


def test_identity_is_frozen() -> None:
    """The identifier and UUID of a payload, which devices store, depend on profile identifier and fingerprint only."""
    (payload,) = _payloads(_profile(MAIN.chain))
    sha256 = fingerprint(chain(MAIN.root)[0])
    identifier = f"{IDENTIFIER}.{sha256}"
    namespace = UUID("8b9f0c5e-52ad-4c0b-9d3b-3d3a2f0f6a11")
    assert _identity(payload) == (identifier, str(uuid5(namespace, identifier)).upper())
    assert payload["PayloadCertificateFileName"] == f"{sha256[:16]}.cer"


def test_a_person_can_read_what_the_profile_is_for() -> None:
    """Names and descriptions show the server, the address and the expiry."""
    profile = plistlib.loads(PAIR)
    assert profile["PayloadDisplayName"] == "Trusted certificates of berlin (mdm.example.com)"
    assert profile["PayloadOrganization"] == "Example"
    assert "mdm.example.com" in profile["PayloadDescription"]
    main, reserve = _payloads(PAIR)
    assert main["PayloadDisplayName"] == "mdm.example.com, valid until 2042-04-02"
    assert reserve["PayloadDisplayName"] == "mdm.example.com, valid until 2043-01-27"
    assert fingerprint(chain(MAIN.root)[0]) in main["PayloadDescription"]


def test_of_a_custom_chain_devices_get_root_and_intermediates() -> None:
    """The root is a root payload, an intermediate a pkcs1 payload, and the leaf is left out; no payload is repeated."""
    profile = _profile(*(_custom(leaf) for leaf in LEAVES))
    kinds = {payload["PayloadContent"]: payload["PayloadType"] for payload in _payloads(profile)}
    assert kinds == {
        _der(ROOT.cert_pem.bytes().decode()): "com.apple.security.root",
        _der(INTERMEDIATE.cert_pem.bytes().decode()): "com.apple.security.pkcs1",
    }
    assert len(_payloads(profile)) == 2


def test_a_chain_without_its_root_is_refused() -> None:
    """The error for a chain without the root, which devices need, names the certificate."""
    certificates = chain(_custom(LEAVES[0]))
    pem = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates[:-1])
    with pytest.raises(CertificateError, match="add the root"):
        _profile(pem)


def test_an_empty_profile_is_refused() -> None:
    """A profile without certificates would remove the last certificate from every device."""  # R32
    with pytest.raises(DefinitionError, match="no certificate"):
        _profile()


@pytest.mark.parametrize("identifier", ["", ".", "com.example.", "com example", "com.example\n", "com.exämple"])
def test_a_bad_identifier_is_refused(identifier: str) -> None:
    """The identifier must be in reverse-DNS style."""
    with pytest.raises(DefinitionError, match="identifier"):
        _profile(MAIN.chain, identifier=identifier)


def test_text_that_no_plist_can_hold_is_refused() -> None:
    """A control character in a name is a clear error."""
    with pytest.raises(DefinitionError, match="organization"):
        _profile(MAIN.chain, organization="Exam\x00ple")


def test_the_command_carries_the_profile_as_it_is() -> None:
    """InstallProfile contains the bytes of the profile, follows Apple's schema, and is always the same."""
    uuid = "0A1B2C3D-0000-4000-8000-000000000001"
    command = install_profile_command(PAIR, uuid)
    assert command_violations(command, schema="profile.install") == []
    assert plistlib.loads(command) == {
        "Command": {"RequestType": "InstallProfile", "Payload": PAIR},
        "CommandUUID": uuid,
    }
    assert command == install_profile_command(PAIR, uuid)
    for order in permutations([MAIN.chain, RESERVE.chain]):
        assert install_profile_command(_profile(*order), uuid) == command


def test_the_certificates_of_a_profile_have_digests() -> None:
    """These are the roots of issued certificates, and the root and the issuers of a custom one."""  # R44
    roots = [chain(one.chain)[-1] for one in (MAIN, RESERVE)]
    assert certificate_digests(PAIR) == {bytes.fromhex(fingerprint(one)) for one in roots}
    custom = {bytes.fromhex(fingerprint(one)) for one in chain(_custom(LEAVES[0]))[1:]}
    assert certificate_digests(_profile(_custom(LEAVES[0]))) == custom
