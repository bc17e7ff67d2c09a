"""The child process that opens PFX files and encrypted keys. The parent starts this file by its path.

The child imports the library and a few modules of the standard library. Before that it limits itself, because the
library has no limit for the work that a file demands. Files, passwords and keys are transferred through pipes only.

Usage: child.py CPU_SECONDS SPENT_SECONDS MEMORY_BYTES FOLDER…
    CPU_SECONDS: processor time after which the system kills the process.
    SPENT_SECONDS: processor time after which the process ends after an answer. Each file has the difference.
    MEMORY_BYTES: limit of the address space.
    FOLDER: folder from which the library is imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

__all__ = ["LAST", "MORE", "OK", "pack", "read_parts"]

MORE, LAST = b"more", b"last"
"""First part of an answer: whether the process reads another request."""
OK = b"ok"
"""Second part of an answer: the file was opened. Otherwise it is the value of a ``Refusal``."""

_SIZE = 4
_MAX_PARTS = 20_000
_MAX_BYTES = 1 << 24


def pack(parts: Sequence[bytes]) -> bytes:
    """Return a message: the number of parts, then the length and the bytes of each part."""
    sizes = (len(part).to_bytes(_SIZE, "big") for part in parts)
    return len(parts).to_bytes(_SIZE, "big") + b"".join(
        byte for pair in zip(sizes, parts, strict=True) for byte in pair
    )


def read_parts(source: BinaryIO) -> list[bytes] | None:
    """Return the parts of the next message, or None if the message is cut off, invalid or too large."""
    count = _number(source)
    if count is None or count > _MAX_PARTS:
        return None
    parts: list[bytes] = []
    left = _MAX_BYTES
    for _ in range(count):
        size = _number(source)
        if size is None or size > left:
            return None
        left -= size
        part = source.read(size)
        if len(part) != size:
            return None
        parts.append(part)
    return parts


def _number(source: BinaryIO) -> int | None:
    octets = source.read(_SIZE)
    return int.from_bytes(octets, "big") if len(octets) == _SIZE else None


def _limit(*, cpu: int, memory: int) -> None:
    """Limit this process. A limit that the system lacks or refuses is skipped: the parent also limits the time."""
    try:
        import resource
    except ImportError:  # Windows
        return
    # A soft limit of processor time below the hard one sends a signal that writes a core file with the key.
    for name, value in (("RLIMIT_CORE", 0), ("RLIMIT_CPU", cpu), ("RLIMIT_AS", memory)):
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (AttributeError, ValueError, OSError):
            continue


def _open(kind: str, data: bytes, password: bytes | None) -> list[bytes]:
    """Return the parts of an answer: the status, the key or nothing, and pairs of a certificate and its name."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_der_private_key,
        load_pem_private_key,
        pkcs12,
    )

    plain = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if kind != "pfx":
        load = load_pem_private_key if kind == "pem" else load_der_private_key
        return [OK, load(data, password, unsafe_skip_rsa_key_validation=True).private_bytes(*plain)]
    found = pkcs12.load_pkcs12(data, password)
    key = b"" if found.key is None else found.key.private_bytes(*plain)
    certificates = [one for one in (found.cert, *found.additional_certs) if one is not None]
    parts = ((one.certificate.public_bytes(Encoding.DER), one.friendly_name or b"") for one in certificates)
    return [OK, key, *(part for pair in parts for part in pair)]


def _answer(kind: str, data: bytes, password: bytes | None) -> list[bytes]:
    """Return the parts of an answer. It contains no text of an error: the text of a panic quotes the password."""
    try:
        return _open(kind, data, password)
    except MemoryError:
        return [b"limit"]
    except TypeError:  # no password for an encrypted key
        return [b"password"]
    except ValueError as error:
        # The library has no class for a wrong password. After a wrong password, the plaintext can look damaged.
        text = str(error).lower()
        return [b"password" if "password" in text or "deserialize key data" in text else b"format"]
    except Exception:  # noqa: BLE001 - the parent needs one answer for each file
        return [b"format"]
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":  # a panic of the library is no Exception
            raise
        return [b"failure"]


def main(cpu: str, spent: str, memory: str, *folders: str) -> None:
    """Answer requests until the parent closes the pipe, or until this process has used its time."""
    import gc
    import signal
    import time
    import warnings

    _limit(cpu=int(cpu), memory=int(memory))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is sent to all processes of a terminal; the parent decides
    warnings.simplefilter("ignore")
    sys.path.extend(folders)
    gc.disable()  # collections during the imports take 6 ms and free nothing
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: F401 - loaded before the first request

    gc.enable()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(pack([MORE, OK]))
    sink.flush()
    state = MORE
    while state == MORE and (request := read_parts(source)) is not None:
        kind, has_password, password, data = request
        answer = _answer(kind.decode(), data, password if has_password else None)
        state = MORE if time.process_time() < float(spent) else LAST
        sink.write(pack([state, *answer]))
        sink.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
