"""Measures the check of a custom certificate: `ios-mdm validate`, `openssl verify`, and the check in process.

The limits are ratios within one run: the process needs at most 2.5 times the CPU of `import cryptography.x509`. In
process, the file is read and checked in 2 ms without the handshakes, and in 15 ms with them.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ios_mdm.core.bundle import read_bundle
from ios_mdm.core.rules import Context, best_judgment, judge, proof

__all__ = ["main"]

HOST = "mdm.example.com"
NOW = datetime(2040, 1, 1, tzinfo=UTC)
ROUNDS = 15


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _chain() -> tuple[bytes, bytes, bytes]:
    """Return three PEM texts: a bundle of three certificates with the leaf's key, the root, and the other two."""
    keys = [rsa.generate_private_key(65537, 4096), rsa.generate_private_key(65537, 2048)]
    leaf_key = rsa.generate_private_key(65537, 2048)
    root, issuer, leaf = _name("root"), _name("issuer"), _name(HOST)

    def signed(
        subject: x509.Name, by: x509.Name, public: object, signer: rsa.RSAPrivateKey, *, ca: bool
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder(by, subject, public, x509.random_serial_number())  # type: ignore[arg-type]
            .not_valid_before(NOW - timedelta(days=10))
            .not_valid_after(NOW + timedelta(days=390))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    made = [
        signed(leaf, issuer, leaf_key.public_key(), keys[1], ca=False),
        signed(issuer, root, keys[1].public_key(), keys[0], ca=True),
        signed(root, root, keys[0].public_key(), keys[0], ca=True),
    ]
    pems = [one.public_bytes(Encoding.PEM) for one in made]
    key = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + b"".join(pems), pems[2], b"".join(pems[:2])


def _environment() -> dict[str, str]:
    """Return the environment of an installation, which compiles each module once."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _cpu(arguments: list[str], folder: Path) -> float:
    """Run a process that must succeed, and return its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, cwd=folder, env=_environment(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _check(bundle: bytes, *, has_proof: bool) -> float:
    """Read and check a bundle, which must be valid, and return the CPU seconds."""
    context = Context(host=HOST, now=NOW)
    with nullcontext() if has_proof else patch.object(judge, "proof", lambda *_: proof.untried_proof()):
        began = time.process_time()
        judgment = best_judgment(read_bundle(bundle), context)
        taken = time.process_time() - began
    assert judgment.report.is_valid, judgment.report.violations
    return taken


def main() -> int:
    """Measure all processes in each round, and print the medians."""
    bundle, root, below = _chain()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, data in (("bundle.pem", bundle), ("root.pem", root), ("below.pem", below)):
            (folder / name).write_bytes(data)
        project = str(Path(__file__).resolve().parent.parent)
        moment = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
        program = f"import sys; sys.path.insert(0, {project!r}); from ios_mdm.__main__ import app; app()"
        command = [sys.executable, "-c", program, "validate", "bundle.pem", "--address", HOST, "--at", moment]
        verify = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", "root.pem"]
        compared = {
            "validate": command,
            'python -c "import cryptography.x509"': [sys.executable, "-c", "import cryptography.x509"],
            "openssl verify": [*verify, "-untrusted", "below.pem", "below.pem"],
        }
        found: dict[str, list[float]] = {name: [] for name in compared}
        for arguments in compared.values():  # the first run compiles the modules
            _cpu(arguments, folder)
        for _ in range(ROUNDS):
            for name, arguments in compared.items():
                found[name].append(_cpu(arguments, folder))
    checks = {"read and rules, in process": False, "read, rules and handshakes, in process": True}
    alone: dict[str, list[float]] = {name: [] for name in checks}
    for _ in range(ROUNDS * 4):
        for name, has_proof in checks.items():
            alone[name].append(_check(bundle, has_proof=has_proof))
    base = statistics.median(found['python -c "import cryptography.x509"'])
    for name, seconds in found.items():
        print(f"{name:<40} {statistics.median(seconds) * 1000:7.1f} ms CPU   {statistics.median(seconds) / base:.2f}x")
    for name, seconds in alone.items():
        print(f"{name:<40} {statistics.median(seconds) * 1000:7.1f} ms CPU   {statistics.median(seconds) / base:.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
