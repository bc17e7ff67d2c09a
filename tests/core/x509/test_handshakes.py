"""Devices that hold the profile accept main, and then the reserve.

Every client and every verifier trusts exactly the certificates in the payloads of the profile. They verify at a fixed
time. Only Python's ssl, which always uses the machine's clock, gets certificates that are valid while the test runs.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from OpenSSL import SSL

from ios_mdm.core.pair.definition import KeyType
from tests.support.tls_clients import (
    HOST,
    PYTHON_3_11,
    PYTHON_3_13,
    memory_handshake,
    openssl_client,
    python_handshake,
    root_of,
    served_by,
)
from tests.support.verifiers import VERIFIERS, Question, Served, refusal
from tests.support.x509_pairs import NOW, UNTIL_BOTH_ARE_VALID, pair_for, pair_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.tls_clients import Pair

ELSEWHERE = "bank.example.org"
BEFORE_THE_SWITCH = NOW + UNTIL_BOTH_ARE_VALID
AFTER_MAIN_EXPIRED = NOW + timedelta(days=400)


def _question(served: Served, pair: Pair, host: str, folder: Path) -> Question:
    moment = pair.now + UNTIL_BOTH_ARE_VALID
    return Question(chain=served.chain, trusted=pair.trusted, host=host, moment=moment, folder=folder)


def test_a_device_with_the_profile_accepts_main_and_then_the_reserve(pair: Pair) -> None:
    """With both as trust roots, strict OpenSSL accepts main before the switch and the reserve after it."""  # R16
    memory_handshake(served_by(pair.main), pair.trusted, BEFORE_THE_SWITCH)
    memory_handshake(served_by(pair.reserve), pair.trusted, BEFORE_THE_SWITCH)
    memory_handshake(served_by(pair.reserve), pair.trusted, AFTER_MAIN_EXPIRED)


def test_a_device_refuses_main_once_it_has_expired(pair: Pair) -> None:
    """Main is refused after its expiry even by a device with the profile, so a reserve is needed."""  # R16
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        memory_handshake(served_by(pair.main), pair.trusted, AFTER_MAIN_EXPIRED)


def test_a_device_without_the_reserve_refuses_it(pair: Pair) -> None:
    """Main's root does not verify the reserve, so the profile must be installed before the switch."""  # R15, R16
    root = root_of(pair.main)
    memory_handshake(served_by(pair.main), [root], BEFORE_THE_SWITCH)
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        memory_handshake(served_by(pair.reserve), [root], BEFORE_THE_SWITCH)


@pytest.mark.parametrize("slot", ["main", "reserve"])
def test_the_openssl_client_accepts_both_for_their_host(pair: Pair, slot: str, tmp_path: Path) -> None:
    """``openssl s_client`` accepts main and reserve over a socket and checks the host name."""  # R16, R31
    served = served_by(getattr(pair, slot))
    accepted = openssl_client(served, pair.trusted, HOST, BEFORE_THE_SWITCH, tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    assert "Verification: OK" in accepted.stderr


def test_the_openssl_client_refuses_another_host(small_pair: Pair, tmp_path: Path) -> None:
    """The same certificate is refused for another host or a subdomain."""  # R31
    for host in (ELSEWHERE, f"sub.{HOST}"):
        refused = openssl_client(served_by(small_pair.main), small_pair.trusted, host, BEFORE_THE_SWITCH, tmp_path)
        assert refused.returncode != 0
        assert "hostname mismatch" in refused.stderr.lower()


@pytest.mark.parametrize("flags", [PYTHON_3_11, PYTHON_3_13], ids=["3.11", "3.13"])
@pytest.mark.parametrize("slot", ["main", "reserve"])
def test_pythons_client_accepts_both_for_their_host(slot: str, flags: int, tmp_path: Path) -> None:
    """Python's ssl, with the settings of old and new versions, accepts both for the address only."""  # R16, R31
    pair = pair_of(KeyType.EC_P256, present=True)
    served = served_by(getattr(pair, slot))
    python_handshake(served, pair.trusted, HOST, tmp_path, flags=flags)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        python_handshake(served, pair.trusted, f"sub.{HOST}", tmp_path, flags=flags)


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.RSA_4096], ids=str)
@pytest.mark.parametrize("slot", ["main", "reserve"])
@pytest.mark.parametrize("verifier", VERIFIERS)
def test_every_verifier_accepts_both_for_their_host(verifier: str, slot: str, kind: KeyType, tmp_path: Path) -> None:
    """OpenSSL, Go, cryptography, GnuTLS and NSS accept main and reserve as server certificates."""  # R16, R31
    pair = pair_for(verifier, kind)
    served = served_by(pair.main if slot == "main" else pair.reserve)
    assert refusal(verifier, _question(served, pair, HOST, tmp_path)) == ""


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_every_verifier_accepts_a_server_that_presents_the_root_too(verifier: str, tmp_path: Path) -> None:
    """A server may present the root, too, which RFC 8446 allows to omit."""  # R31
    pair = pair_for(verifier)
    served = served_by(pair.main)
    with_root = Served(chain=(*served.chain, root_of(pair.main)), key=served.key)
    assert refusal(verifier, _question(with_root, pair, HOST, tmp_path)) == ""


@pytest.mark.parametrize("verifier", [name for name in VERIFIERS if not name.startswith("nss")])
@pytest.mark.parametrize("host", [ELSEWHERE, f"sub.{HOST}"])
def test_every_verifier_refuses_the_certificate_for_another_host(verifier: str, host: str, tmp_path: Path) -> None:
    """The SAN is only the connection address, without subdomains."""  # R31
    pair = pair_for(verifier)
    assert refusal(verifier, _question(served_by(pair.main), pair, host, tmp_path))
