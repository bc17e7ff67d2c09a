"""Reads a file with a certificate, its issuers and its private key. The content determines the format, not the name."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ios_mdm.core.bundle import der, pem
from ios_mdm.core.bundle.contents import Contents, SealedKey
from ios_mdm.core.bundle.keys import open_key
from ios_mdm.core.bundle.library import attempt
from ios_mdm.core.bundle.model import Budget, Bundle, BundleError, wrong_password_error
from ios_mdm.core.bundle.opener import Opener
from ios_mdm.core.bundle.sealed_parts import add_encrypted_key, add_pem_key, add_pfx
from ios_mdm.core.bundle.structure import is_pfx, read_pkcs7

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ios_mdm.core.bundle.der import Node
    from ios_mdm.core.bundle.pem import Block
    from ios_mdm.core.bundle.sealed import SealedReader

__all__ = ["MAX_BUNDLE_BYTES", "read_bundle"]

MAX_BUNDLE_BYTES = 1 << 20
"""Size limit of a file in bytes."""

_CERTIFICATES = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}
_PKCS7 = {"PKCS7", "CMS", "PKCS #7 SIGNED DATA"}
_KEYS = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
_SILENT = {"EC PARAMETERS", "DH PARAMETERS", "DSA PARAMETERS"}
_BASE64 = re.compile(rb"\s*MI[A-Za-z0-9+/=\s]+")
_MAX_NOTICES = 20
_DAMAGED = "the file is damaged or cut off: its parts do not fit together. Copy or export it again"
_NO_PEM = "the file is neither PEM nor PFX (P12): export the certificate with its private key in one of these formats"
_PUT_TOGETHER = (
    "put both into one file with openssl pkcs12 -export -inkey KEY -in CERTIFICATE -certfile CHAIN -out bundle.p12"
)
_TO_P12 = "keytool -importkeystore -srckeystore FILE -destkeystore bundle.p12 -deststoretype PKCS12"
_OTHER_FORMATS = (
    (b"\xfe\xed\xfe\xed", f"the file is a Java key store (JKS): convert it with {_TO_P12}"),
    (b"\xce\xce\xce\xce", f"the file is a Java key store (JCEKS): convert it with {_TO_P12} -srcstoretype JCEKS"),
    (b"PK\x03\x04", "the file is a ZIP archive: unpack it, and name the PEM or PFX file inside"),
    (b"PuTTY-User-Key-File", "the file is a PuTTY key, not a certificate: export the certificate as PFX or PEM"),
)


def read_bundle(data: bytes, password: str | None = None, reader: SealedReader | None = None) -> Bundle:
    """Return every certificate and every private key of a PEM, PFX or P12 file (R18).

    The rules check the certificates later. A single DER certificate or key is recognized too, so that the error can
    name the missing part. The library returns only the first key of a PFX.

    Args:
        data: contents of the file.
        password: password of the file and of every key in it; None and "" mean that there is no password.
        reader: opens a PFX and encrypted keys; None if the file must not contain any.

    Raises:
        BundleError: The file cannot be read. No bytes cause another error.
        IosMdmError: *reader* cannot open anything on this machine.
    """
    opener = Opener(reader=reader, password=password or "")
    try:
        contents = _contents(data, opener)
        certificates = tuple(_certificate(one, number) for number, one in enumerate(contents.certificates, 1))
        if not certificates:
            raise _no_certificate(contents)
        if not contents.keys:
            raise _no_key(contents)
        keys = _keys(contents, opener)
    except der.DerError:
        pass
    else:
        names = zip(certificates, map(contents.names.get, contents.certificates), strict=True)
        return Bundle(
            certificates=certificates,
            keys=keys,
            notices=_notices(contents, keys, has_password=bool(password)),
            first_key_only=contents.first_key_only,
            names={certificate: name for certificate, name in names if name is not None},
        )
    raise wrong_password_error(_DAMAGED)


def _contents(data: bytes, opener: Opener) -> Contents:
    """Return the contents of the file, with its private keys still encrypted, except those of a PFX."""
    if not data.strip():
        raise wrong_password_error("the file is empty: export the certificate with its private key as PEM or PFX")
    if len(data) > MAX_BUNDLE_BYTES:
        raise wrong_password_error(
            f"the file is larger than {MAX_BUNDLE_BYTES >> 10} KiB: keep only the server's key and certificates"
        )
    contents = Contents(Budget())
    if (node := _element(data)) is not None:
        _read_binary(node, contents, opener)
        return contents
    blocks = pem.blocks(data)
    if not blocks:
        raise wrong_password_error(_form_advice(data))
    for block in blocks:
        _read_block(block, contents, opener)
    return contents


def _element(data: bytes) -> Node | None:
    """Return the SEQUENCE of a binary file, or None for any other file."""
    if data[0] != der.SEQUENCE:
        return None
    try:
        node = der.first(data)
    except der.DerError:
        return None
    return None if data[node.end :].strip() else node


def _form_advice(data: bytes) -> str:
    """Return the message for a file that is neither PEM nor one complete binary element."""
    for magic, message in _OTHER_FORMATS:
        if data.startswith(magic):
            return message
    if _BASE64.fullmatch(data):
        return "the file is Base64 without PEM lines: decode it with openssl base64 -d -A -in FILE -out bundle.pfx"
    return _DAMAGED if data[0] == der.SEQUENCE else _NO_PEM


def _read_binary(node: Node, contents: Contents, opener: Opener) -> None:
    """Add the contents of a binary file."""
    tags = tuple(child.tag for child in node.children())
    if is_pfx(node):
        add_pfx(node, contents, opener)
    elif tags == (der.OID, der.context_tag(0)):
        _read_pkcs7(node, contents)
    elif tags == (der.SEQUENCE, der.OCTET_STRING):
        add_encrypted_key(node.encoding, contents)
    elif tags[0] == der.INTEGER:
        contents.add_key(SealedKey(data=node.encoding))
    else:
        contents.add_certificate(node.encoding)


def _read_block(block: Block, contents: Contents, opener: Opener) -> None:
    """Add the contents of a PEM block."""
    if block.label in _CERTIFICATES:
        # In OpenSSL's TRUSTED CERTIFICATE, the trusted purposes follow the certificate.
        trusted = block.label == "TRUSTED CERTIFICATE"
        contents.add_certificate(der.first(block.data).encoding if trusted else block.data)
    elif block.label in _KEYS:
        _add_key(block, contents)
    elif block.label in _PKCS7:
        _read_pkcs7(der.parse(block.data), contents)
    elif block.label == "PKCS12":  # as GnuTLS writes it
        add_pfx(der.parse(block.data), contents, opener)
    elif block.label.endswith("PRIVATE KEY"):
        raise wrong_password_error(
            f"the format of a private key is not supported ({block.label}): convert an OpenSSH key with "
            "ssh-keygen -p -m PKCS8 -f KEY. A key that cannot be exported from its hardware cannot be used"
        )
    elif block.label not in _SILENT:
        contents.notices.append(f"the block {block.label} was skipped: it is neither a certificate nor a private key")


def _add_key(block: Block, contents: Contents) -> None:
    if block.dek_info is not None:
        add_pem_key(block.label, block.data, block.dek_info, contents)
    elif block.label == "ENCRYPTED PRIVATE KEY":
        add_encrypted_key(block.data, contents)
    else:
        contents.add_key(SealedKey(data=block.data))


def _read_pkcs7(node: Node, contents: Contents) -> None:
    for certificate in read_pkcs7(node):
        contents.add_certificate(certificate)


def _certificate(data: bytes, number: int) -> x509.Certificate:
    """Return a certificate of which every part can be read."""
    certificate = attempt(partial(x509.load_der_x509_certificate, data))
    if certificate is None or attempt(partial(_parts, certificate)) is None:
        raise wrong_password_error(
            f"certificate {number} of the file cannot be read: it is damaged, or its key has an unknown type. "
            "Inspect it with: openssl storeutl -noout -text -certs FILE"
        )
    return certificate


def _parts(certificate: x509.Certificate) -> tuple[object, ...]:
    """Read the parts that the library decodes lazily."""
    return (
        certificate.subject,
        certificate.issuer,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.extensions,
        certificate.public_key(),
    )


def _keys(contents: Contents, opener: Opener) -> tuple[PrivateKeyTypes, ...]:
    """Return the private keys without duplicates."""
    found: dict[bytes, PrivateKeyTypes] = {}
    for number, sealed in enumerate(contents.keys, 1):
        key = open_key(sealed, opener, number=number)
        found.setdefault(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key)
    return tuple(found.values())


def _notices(contents: Contents, keys: tuple[PrivateKeyTypes, ...], *, has_password: bool) -> tuple[str, ...]:
    """Return the notices without duplicates."""
    notices = contents.notices.copy()
    if len(keys) > 1:
        notices.append(f"the file holds {len(keys)} private keys")
    if has_password and not contents.encrypted:
        notices.append("the file is not encrypted: the given password is not needed")
    return tuple(dict.fromkeys(notices))[:_MAX_NOTICES]


def _no_certificate(contents: Contents) -> BundleError:
    found = "a private key and no certificate" if contents.keys else "neither a certificate nor a private key"
    return BundleError(f"the file holds {found}: {_PUT_TOGETHER}", code="no-certificate")


def _no_key(contents: Contents) -> BundleError:
    found = "a certificate" if len(contents.certificates) == 1 else f"{len(contents.certificates)} certificates"
    return BundleError(f"the file holds {found} and no private key: {_PUT_TOGETHER}", code="no-key")
