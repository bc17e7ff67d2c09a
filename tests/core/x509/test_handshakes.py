"""Handshakes in memory with a certificate as it is stored, and what each of their checks finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from ios_mdm.core.x509 import handshakes
from ios_mdm.core.x509.credential import credential_of
from ios_mdm.core.x509.handshakes import Handshakes, handshake_failure
from tests.support.certificates import ANY, HOST, LEAF, NOW, ROOT, Chain, SelfSigned, key, private_pem

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from cryptography import x509

    from ios_mdm.core.x509.handshakes import HandshakeFailure
    from ios_mdm.core.x509.values import Credential
    from tests.support.certificates import Made

NO_CHECK_TIME = 0x200000
DAY = timedelta(days=1)
GOOD = Chain().make()


def handshakes_with(
    made: Made, *, kind: type[Handshakes] = Handshakes, root: x509.Certificate | None = None
) -> Handshakes:
    """Return the handshakes with a chain for HOST at NOW."""
    chain = tuple(one for one in made.chain if one is made.leaf or one != made.root)
    private = private_pem(made.keys[0]).decode()
    return kind(certificates=chain, private_key=private, root=root or made.root, host=HOST, at=NOW)


def credential(made: Made) -> Credential:
    """Return the stored form of a chain."""
    return credential_of(made.chain, made.keys[0], made.root)


class WithoutTime(Handshakes):
    """Handshakes whose clients ignore the dates."""

    def client_context_at_time(self) -> SSL.Context:
        """Return the context of a client that ignores the dates."""
        context = super().client_context_at_time()
        store = context.get_cert_store()
        assert store is not None
        store.set_flags(NO_CHECK_TIME)
        return context


class WithoutHost(Handshakes):
    """Handshakes whose clients compare no host name."""

    def client_context_with_name(self, anchor: x509.Certificate) -> ssl.SSLContext:
        """Return the context of a client that compares no host name."""
        context = super().client_context_with_name(anchor)
        context.check_hostname = False
        return context


class WithoutChain(Handshakes):
    """Handshakes whose clients trust every presented certificate."""

    def client_context_at_time(self) -> SSL.Context:
        """Return the context of a client that trusts the leaf."""
        context = super().client_context_at_time()
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(self.certificates[0]))
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        return context

    def client_context_with_name(self, anchor: x509.Certificate) -> ssl.SSLContext:
        """Return the context of a client that trusts the leaf."""
        context = super().client_context_with_name(anchor)
        context.load_verify_locations(cadata=self.certificates[0].public_bytes(Encoding.DER))
        return context


class WithoutKey(Handshakes):
    """Handshakes whose server uses the leaf's key instead of the stored one."""

    def server_context(self, certificates: tuple[x509.Certificate, ...]) -> SSL.Context:
        """Return the context of a server with the leaf's key."""
        right = Handshakes(
            certificates=self.certificates,
            private_key=private_pem(LEAF.private).decode(),
            root=self.root,
            host=self.host,
            at=self.at,
        )
        return right.server_context(certificates)


def with_other_key(kind: type[Handshakes]) -> Handshakes:
    """Return the handshakes of a good chain with a key that is not the leaf's."""
    return kind(
        certificates=GOOD.chain[:-1],
        private_key=private_pem(key("p256", "another")).decode(),
        root=GOOD.root,
        host=HOST,
        at=NOW,
    )


def defect_failure(case: str, kind: type[Handshakes] = Handshakes) -> HandshakeFailure | None:
    """Return the result for a chain with exactly one defect."""
    if case == "time":
        return handshakes_with(Chain(leaf=LEAF.but(days=(-100, -1))).make(), kind=kind).failure()
    if case == "host":
        return handshakes_with(Chain(leaf=LEAF.but(sans=("other.example.com",))).make(), kind=kind).failure()
    if case == "chain":
        other = Chain(root=ROOT.but(owner="another root")).make().root
        return handshakes_with(GOOD, kind=kind, root=other).failure()
    return with_other_key(kind).failure()


LEFT_OUT = {"time": WithoutTime, "host": WithoutHost, "chain": WithoutChain, "key": WithoutKey}
FOUND = {
    "time": (10, "certificate has expired"),
    "host": (62, f"Hostname mismatch, certificate is not valid for '{HOST}'."),
    "chain": (20, "unable to get local issuer certificate"),
    "key": (None, "key values mismatch"),
}


def test_a_good_chain_passes_each_variant() -> None:
    """Both clients accept a correct chain, and leaving out a check does not change that."""  # R28
    for kind in (Handshakes, *LEFT_OUT.values()):
        assert handshakes_with(GOOD, kind=kind).failure() is None


@pytest.mark.parametrize("case", LEFT_OUT)
def test_one_check_finds_each_seeded_defect(case: str) -> None:
    """Each defect is found with OpenSSL's reason. It passes exactly if its check is left out."""  # R28
    found = defect_failure(case)
    assert found is not None
    assert (found.number, found.reason) == FOUND[case]
    passing = {name for name, kind in LEFT_OUT.items() if defect_failure(case, kind) is None}
    assert passing == {case}


def test_the_refused_certificate_is_named() -> None:
    """If an issuer has expired, the failure names the issuer."""  # R28
    made = Chain().but(issuing={"days": (-900, -1)}).make()
    found = handshake_failure(credential(made), host=HOST, at=NOW)
    assert found is not None
    assert found.certificate == made.chain[1]


def test_the_time_of_the_check_is_an_argument() -> None:
    """The clients use the given time, also the first and the last second of the validity."""  # R21
    start, end = GOOD.leaf.not_valid_before_utc, GOOD.leaf.not_valid_after_utc
    second = timedelta(seconds=1)
    numbers = []
    for at in (start - second, start, end, end + second):
        found = handshake_failure(credential(GOOD), host=HOST, at=at)
        numbers.append(None if found is None else found.number)
    assert numbers == [9, None, None, 10]


def test_the_common_name_does_not_count() -> None:
    """A certificate without alternative names is refused, although its common name is the host."""  # R19
    found = handshake_failure(credential(Chain(leaf=LEAF.but(sans=())).make()), host=HOST, at=NOW)
    assert found is not None
    assert found.number == 62


@pytest.mark.parametrize(
    "made",
    [
        Chain(leaf=LEAF.but(key="rsa-2048")).make(),
        Chain(leaf=LEAF.but(key="p384")).make(),
        Chain(leaf=LEAF.but(key="p521")).make(),
        Chain(leaf=LEAF.but(key="rsa-2048", usages=("key_encipherment",))).make(),
        Chain().but(leaf={"hash": hashes.SHA224()}, issuing={"hash": hashes.SHA224()}).make(),
        Chain().but(leaf={"pss": True}, issuing={"key": "rsa-2048"}).make(),
        Chain(issuing=()).make(),
        SelfSigned().make(),
        SelfSigned(leaf=LEAF.but(ca=True, usages=None)).make(),
    ],
    ids=["RSA", "P-384", "P-521", "RSA, keyEncipherment", "SHA-224", "PSS", "no issuer", "self-signed", "own CA"],
)
def test_the_clients_refuse_nothing_that_the_rules_accept(made: Made) -> None:
    """The security level of the clients admits each key type and hash of the rules."""  # R27 R28
    assert handshake_failure(credential(made), host=HOST, at=NOW) is None


@pytest.mark.parametrize("issuer", ["issuing", "root"])
@pytest.mark.parametrize("case", ["host", "chain", "time"])
def test_an_issuer_for_any_purpose_hides_no_defect(case: str, issuer: str) -> None:
    """OpenSSL refuses such an issuer, and the rules accept it. Everything else is still checked."""  # R23
    changed: dict[str, dict[str, Any]] = {issuer: {"purposes": (ANY,)}}
    chain = Chain().but(**changed)
    assert handshakes_with(chain.make()).failure() is None
    other = Chain(root=ROOT.but(owner="another root")).make().root if case == "chain" else None
    changes: dict[str, dict[str, Any]] = {"host": {"sans": ("other.example.com",)}, "time": {"days": (-100, -1)}}
    found = handshakes_with(chain.but(leaf=changes.get(case)).make(), root=other).failure()
    assert found is not None
    assert (found.number, found.reason) == FOUND[case]


def test_numbers_that_do_not_fit_together_reach_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """An RSA key with the leaf's modulus and wrong numbers is refused first, and else by the handshake."""  # R28
    made = Chain(leaf=LEAF.but(key="rsa-2048")).make()
    right, other = (key("rsa-2048", owner) for owner in ("leaf", "another"))
    assert isinstance(right, rsa.RSAPrivateKey)
    assert isinstance(other, rsa.RSAPrivateKey)
    wrong, numbers = other.private_numbers(), right.private_numbers()
    mixed = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=wrong.d,
        dmp1=wrong.dmp1,
        dmq1=wrong.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    unfit = credential_of(made.chain, mixed, made.root)
    found = handshake_failure(unfit, host=HOST, at=NOW)
    assert found is not None
    assert found.reason == "tls.key is not the PKCS#8 key of the certificate"
    monkeypatch.setattr(handshakes, "credential_problem", lambda _credential: None)
    assert handshake_failure(unfit, host=HOST, at=NOW) is not None


def test_a_failure_quotes_no_byte_of_the_key() -> None:
    """A key that OpenSSL cannot load is reported without its text."""  # R29
    broken = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    found = Handshakes(certificates=GOOD.chain[:-1], private_key=broken, root=GOOD.root, host=HOST, at=NOW).failure()
    assert found is not None
    assert found.reason == "the private key or a certificate cannot be loaded"
    assert "c2VjcmV0" not in repr(found)


RESTRICTED = """openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = restricted
[restricted]
SignatureAlgorithms = RSA+SHA256
Groups = P-521
CipherString = ECDHE-RSA-AES256-GCM-SHA384
Ciphersuites = TLS_CHACHA20_POLY1305_SHA256
MaxProtocol = TLSv1.2
VerifyMode = Request,Require
"""
"""A configuration of OpenSSL with which no certificate with an EC key can be presented."""
RESULTS = """
import json
from tests.core.x509.test_handshakes import ANY, GOOD, LEFT_OUT, Chain, defect_failure, handshakes_with
found = {case: defect_failure(case) for case in LEFT_OUT}
found["none"] = handshakes_with(GOOD).failure()
found["any purpose"] = handshakes_with(Chain().but(issuing={"purposes": (ANY,)}).make()).failure()
print(json.dumps({case: None if one is None else [one.number] for case, one in found.items()}))
"""


def test_the_configuration_of_openssl_changes_no_result(tmp_path: Path) -> None:
    """A machine can restrict signatures, curves, ciphers and versions: that is no defect of a certificate."""  # R28
    configuration = tmp_path / "openssl.cnf"
    configuration.write_text(RESTRICTED, encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-c", RESULTS],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OPENSSL_CONF": str(configuration)},
    )
    expected = {case: [number] for case, (number, _) in FOUND.items()}
    assert json.loads(done.stdout) == expected | {"none": None, "any purpose": None}
