"""Names files of other formats, and how to convert them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["foreign_form"]

_TO_P12 = "keytool -importkeystore -srckeystore FILE -destkeystore bundle.p12 -deststoretype PKCS12"
_EXPORT = "export the certificate with its private key as PEM or PFX"
_SSH = "the file is an OpenSSH key, not a certificate of TLS: name the file with the certificate and its private key"
_KUBERNETES = (
    "the file is a Kubernetes secret: write its values into one file, for example with "
    r"kubectl get secret NAME -o go-template='{{range .data}}{{. | base64decode}}{{end}}'"
)
_MAGIC: Final = (
    (b"\xfe\xed\xfe\xed", f"the file is a Java key store (JKS): convert it with {_TO_P12}"),
    (b"\xce\xce\xce\xce", f"the file is a Java key store (JCEKS): convert it with {_TO_P12} -srcstoretype JCEKS"),
    (b"PK\x03\x04", "the file is a ZIP archive: unpack it, and name the PEM or PFX file inside"),
    (b"\x1f\x8b", "the file is compressed with gzip: unpack it, and name the PEM or PFX file inside"),
    (b"7z\xbc\xaf\x27\x1c", "the file is a 7-Zip archive: unpack it, and name the PEM or PFX file inside"),
    (b"\0\0\0\0CERT", f"the file is a serialized certificate store of Windows (SST): {_EXPORT}"),
    (b"%PDF-", f"the file is a PDF document: {_EXPORT}"),
    (b"bplist00", f"the file is a property list: {_EXPORT}"),
    (b"PuTTY-User-Key-File", "the file is a PuTTY key, not a certificate: export the certificate as PFX or PEM"),
    (b"openssh-key-v1\0", _SSH),
    (b"ssh-", _SSH),
    (b"ecdsa-sha2-", _SSH),
    (b"---- BEGIN SSH2 ", _SSH),
)
_TEXTS: Final = (
    ("<!doctype html", f"the file is a web page: {_EXPORT}"),
    ("<html", f"the file is a web page: {_EXPORT}"),
    ("<?xml", f"the file is XML, for example a configuration profile: {_EXPORT}"),
)
_KUBERNETES_KEY = re.compile(r"""\btls\.(?:crt|key)["']?\s{0,8}:""")
_MAX_SEARCHED = 1 << 16


def foreign_form(data: bytes, text: str) -> str | None:
    """Return the message for a file of another format: what it is and how to convert it. None for an unknown file.

    Args:
        data: contents of the file.
        text: the contents, decoded.
    """
    for magic, message in _MAGIC:
        if data.startswith(magic):
            return message
    start = text.lstrip()[:_MAX_SEARCHED]
    if _KUBERNETES_KEY.search(start):
        return _KUBERNETES
    return next((message for opening, message in _TEXTS if start.lower().startswith(opening)), None)
