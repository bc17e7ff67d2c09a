"""Measures the CPU time of issuing a certificate, separately for the key and for all other work."""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest import mock

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.x509 import issuing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

__all__ = ["main"]

NOW = datetime(2040, 1, 1, tzinfo=UTC)
ROUNDS = {KeyType.EC_P256: 200, KeyType.RSA_2048: 60, KeyType.RSA_3072: 30, KeyType.RSA_4096: 20}


def _measure(kind: KeyType, rounds: int) -> tuple[float, float]:
    """Return the median CPU seconds for the key, and for all other work.

    The time for an RSA key varies by a factor of ten between calls, so both values are measured in the same call.
    """
    generate = issuing._generate  # noqa: SLF001 - its share of the call is measured
    keys, others = [], []

    def timed(key: KeyType) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        began = time.process_time()
        made = generate(key)
        keys.append(time.process_time() - began)
        return made

    with mock.patch.object(issuing, "_generate", timed):
        for _ in range(rounds):
            began = time.process_time()
            issuing.issue("mdm.example.com", key=kind, validity_days=397, now=NOW)
            others.append(time.process_time() - began - keys[-1])
    return statistics.median(keys), statistics.median(others)


def main() -> int:
    """Print a line for each type of key."""
    for kind, rounds in ROUNDS.items():
        key, other = _measure(kind, rounds)
        ratio = (key + other) / key
        print(f"{kind:<10} key {key * 1000:8.2f} ms CPU   rest {other * 1000:6.2f} ms CPU   {ratio:.3f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
