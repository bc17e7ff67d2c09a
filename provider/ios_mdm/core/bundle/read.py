"""Reads a file with a certificate, its issuers and its private key. The content determines the format, not the name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ios_mdm.core import der
from ios_mdm.core.bundle.certificates import (
    certificates_in_part,
    doubtful_notice,
    loaded_certificates,
    unreadable_certificate,
)
from ios_mdm.core.bundle.contents import Contents, SealedKey
from ios_mdm.core.bundle.form import DAMAGED, Kind, Part, part_names, parts, skipped_parts_notice
from ios_mdm.core.bundle.keys import open_key
from ios_mdm.core.bundle.model import Budget, Bundle, BundleError, unreadable_error
from ios_mdm.core.bundle.opener import Opener
from ios_mdm.core.bundle.sealed_parts import add_encrypted_key, add_pem_key, add_pfx

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ios_mdm.core.bundle.sealed import SealedReader

__all__ = ["read_bundle"]

_MAX_NOTICES = 20
_PUT_TOGETHER = (
    "put both into one file with openssl pkcs12 -export -inkey KEY -in CERTIFICATE -certfile CHAIN -out bundle.p12"
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
    found = parts(data)
    try:
        return _bundle(found, Opener(reader=reader, password=password or ""))
    except BundleError as error:
        refused = error
    if password and refused.code == "bad-password" and _is_open(found, reader):
        raise BundleError(
            "the file opens without a password, and the given password is wrong: remove the password, or export the "
            "file again with it",
            code="bad-password",
        )
    raise refused


def _is_open(found: tuple[Part, ...], reader: SealedReader | None) -> bool:
    """Return whether a file opens without a password. A PFX without a password is often encrypted with an empty one."""
    try:
        _bundle(found, Opener(reader=reader, password=""))
    except BundleError:
        return False
    return True


def _bundle(found: tuple[Part, ...], opener: Opener) -> Bundle:
    try:
        contents = Contents(Budget())
        skipped = [part for part in found if not _add_part(part, contents, opener)]
        certificates, doubtful = loaded_certificates(contents.certificates)
        if doubtful and not certificates:
            raise unreadable_certificate(doubtful[0])
        if not certificates:
            raise _no_certificate(contents, skipped)
        if not contents.keys:
            raise _no_key(contents)
        keys = _keys(contents, opener)
    except der.DerError:
        pass
    else:
        notices = (
            skipped_parts_notice(skipped),
            doubtful_notice(doubtful),
            *_notices(contents, keys, has_password=bool(opener.password)),
        )
        return Bundle(
            certificates=certificates,
            keys=keys,
            notices=tuple(dict.fromkeys(one for one in notices if one is not None))[:_MAX_NOTICES],
            doubtful=doubtful,
            first_key_only=contents.first_key_only,
            names={
                one: name
                for one in certificates
                if (name := contents.names.get(one.public_bytes(Encoding.DER))) is not None
            },
        )
    raise unreadable_error(DAMAGED)


def _add_part(part: Part, contents: Contents, opener: Opener) -> bool:
    """Add the contents of a part, with its keys still encrypted except those of a PFX. Returns False if not needed."""
    found = certificates_in_part(part)
    if found is not None:
        for certificate in found:
            contents.add_certificate(certificate)
        return True
    match part.kind:
        case Kind.PFX:
            add_pfx(der.parse(part.data), contents, opener)
        case Kind.KEY:
            contents.add_key(SealedKey(data=part.data))
        case Kind.ENCRYPTED_KEY if part.dek_info is not None:
            add_pem_key(part.label, part.data, part.dek_info, contents)
        case Kind.ENCRYPTED_KEY:
            add_encrypted_key(part.data, contents)
        case _:
            return part.kind is Kind.PARAMETERS
    return True


def _keys(contents: Contents, opener: Opener) -> tuple[PrivateKeyTypes, ...]:
    """Return the private keys without duplicates."""
    found: dict[bytes, PrivateKeyTypes] = {}
    for number, sealed in enumerate(contents.keys, 1):
        key = open_key(sealed, opener, number=number)
        found.setdefault(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key)
    return tuple(found.values())


def _notices(contents: Contents, keys: tuple[PrivateKeyTypes, ...], *, has_password: bool) -> list[str]:
    notices = contents.notices.copy()
    if len(keys) > 1:
        notices.append(f"the file holds {len(keys)} private keys")
    if has_password and not contents.encrypted:
        notices.append("the file is not encrypted: the given password is not needed")
    return notices


def _no_certificate(contents: Contents, skipped: list[Part]) -> BundleError:
    found = "a private key and no certificate" if contents.keys else "neither a certificate nor a private key"
    kinds = {part.kind for part in skipped}
    if Kind.REQUEST in kinds:
        return BundleError(
            f"the file holds {found}, but a certificate request: send the request to the CA, and use the certificate "
            "that the CA returns",
            code="no-certificate",
        )
    others = f" (other parts: {part_names(skipped)})" if skipped else ""
    return BundleError(f"the file holds {found}{others}: {_PUT_TOGETHER}", code="no-certificate")


def _no_key(contents: Contents) -> BundleError:
    found = "a certificate" if len(contents.certificates) == 1 else f"{len(contents.certificates)} certificates"
    return BundleError(f"the file holds {found} and no private key: {_PUT_TOGETHER}", code="no-key")
