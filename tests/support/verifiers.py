"""Runs other implementations of X.509 on the certificate of a TLS server.

Each verifier trusts the given roots only. All except those in :data:`OWN_CLOCK` verify at a given time.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

__all__ = ["LIMIT", "OWN_CLOCK", "VERIFIERS", "Key", "Question", "Served", "command", "pem", "refusal"]

LIMIT = 30
"""Seconds after which a test stops waiting for a process."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The chain, leaf first, and the leaf's key that a server presents; the server may be an impostor."""

    chain: tuple[x509.Certificate, ...]
    key: Key

    @property
    def pem(self) -> str:
        """The chain as PEM."""
        return pem(self.chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whether clients accept a chain, leaf first, from a host at a given time.

    Args:
        chain: certificates that the server presents.
        trusted: trusted roots.
        host: host that the client connects to.
        moment: time of the verification, aware UTC.
        folder: empty folder for files of the verifier.
    """

    chain: tuple[x509.Certificate, ...]
    trusted: tuple[x509.Certificate, ...]
    host: str
    moment: datetime
    folder: Path


def pem(certificates: Sequence[x509.Certificate]) -> str:
    """Return certificates as PEM."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def command(name: str) -> str:
    """Return the path of a command from this machine or the bootstrap; empty if there is none."""
    return shutil.which(name) or str(Toolchain.verifier(name) or "")


def refusal(verifier: str, question: Question) -> str:
    """Return the reason of a verifier's refusal; empty if it accepts. Skip the test if it is not installed."""
    return VERIFIERS[verifier](question)


def _openssl(question: Question, *options: str) -> str:
    leaf, chain = question.folder / "leaf.pem", question.folder / "chain.pem"
    leaf.write_text(pem(question.chain[:1]), encoding="ascii")
    chain.write_text(pem(question.chain), encoding="ascii")
    arguments = ["verify", "-purpose", "sslserver", "-verify_hostname", question.host, "-no-CApath", "-no-CAstore"]
    arguments += ["-CAfile", _roots(question), "-attime", f"{question.moment.timestamp():.0f}", *options]
    return _refusal_output(_run("openssl", *arguments, "-untrusted", str(chain), str(leaf)), "verification failed")


def _openssl_strict(question: Question) -> str:
    return _openssl(question, "-x509_strict")


def _openssl_partial(question: Question) -> str:
    return _openssl(question, "-x509_strict", "-partial_chain")


def _cryptography(question: Question) -> str:
    """Run the verifier of pyca/cryptography with its defaults."""
    builder = PolicyBuilder().store(Store(list(question.trusted))).time(question.moment)
    try:
        verifier = builder.build_server_verifier(x509.DNSName(question.host))
        verifier.verify(question.chain[0], list(question.chain[1:]))
    except VerificationError as error:
        return str(error) or type(error).__name__
    return ""


def _go(question: Question) -> str:
    program = Toolchain.load().x509verify
    chain = question.folder / "chain.pem"
    chain.write_text(pem(question.chain), encoding="ascii")
    arguments = ["-roots", _roots(question), "-chain", str(chain), "-host", question.host]
    arguments += ["-at", question.moment.strftime("%Y-%m-%dT%H:%M:%SZ")]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=LIMIT)
    return _refusal_output(done, "x509: ", "ecdsa: ")


def _gnutls(question: Question) -> str:
    chain = question.folder / "chain.pem"
    # certtool follows the order of the file, which must not contain a root that certtool already trusts.
    chain.write_text(pem([one for one in question.chain if one not in question.trusted]), encoding="ascii")
    arguments = ["--verify", "--infile", str(chain), "--load-ca-certificate", _roots(question)]
    arguments += ["--verify-hostname", question.host, "--verify-purpose", "1.3.6.1.5.5.7.3.1"]
    return _refusal_output(_run("certtool", *arguments), "Chain verification output: Not verified.")


def _nss(question: Question, *options: str) -> str:
    """Run NSS, which does not check the host name here."""
    database = f"sql:{question.folder}"
    if not (question.folder / "cert9.db").exists():
        made = _run("certutil", "-N", "-d", database, "--empty-password")
        assert made.returncode == 0, made.stderr
        for number, root in enumerate(question.trusted):
            file = question.folder / f"root{number}.der"
            file.write_bytes(root.public_bytes(Encoding.DER))
            added = _run("certutil", "-A", "-d", database, "-n", f"root{number}", "-t", "C,,", "-i", str(file))
            assert added.returncode == 0, added.stderr
    files = []
    for number, certificate in enumerate(one for one in question.chain if one not in question.trusted):
        file = question.folder / f"chain{number}.der"
        file.write_bytes(certificate.public_bytes(Encoding.DER))
        files.append(str(file))
    arguments = ["-d", database, "-u", "1", "-b", question.moment.strftime("%y%m%d%H%MZ"), *options]
    done = _run("vfychain", *arguments, *files)
    return _refusal_output(done, "Chain is bad!")


def _nss_pkix(question: Question) -> str:
    return _nss(question, "-pp")


VERIFIERS: dict[str, Callable[[Question], str]] = {
    "openssl": _openssl,
    "openssl strict": _openssl_strict,
    "openssl partial chain": _openssl_partial,
    "go": _go,
    "cryptography": _cryptography,
    "gnutls": _gnutls,
    "nss": _nss,
    "nss libpkix": _nss_pkix,
}


OWN_CLOCK = frozenset({"gnutls"})
"""Verifiers that use the machine's clock only: certtool has ``--attime`` only in releases after Debian 12."""


def _roots(question: Question) -> str:
    file = question.folder / "roots.pem"
    file.write_text(pem(question.trusted), encoding="ascii")
    return str(file)


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = command(name)
    if not program:
        pytest.skip(f"no {name} command: install it, or run `make verifiers` where apt can download it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=LIMIT)


def _refusal_output(done: subprocess.CompletedProcess[str], *marks: str) -> str:
    """Return the output of a command that refused; empty if it succeeded. The output must contain a mark."""
    said = done.stdout + done.stderr
    if done.returncode == 0:
        return ""
    assert any(mark in said for mark in marks), done  # other errors are no verdict
    return said
