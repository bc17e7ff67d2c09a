"""Adds PFX files and encrypted keys to the contents of a file, after a check of their rounds."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ios_mdm.core import der
from ios_mdm.core.bundle.contents import SealedKey
from ios_mdm.core.bundle.sealed import SealedKind
from ios_mdm.core.bundle.structure import key_rounds, pfx_outline
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from ios_mdm.core.bundle.contents import Contents
    from ios_mdm.core.bundle.opener import Opener
    from ios_mdm.core.der import Node

__all__ = ["add_encrypted_key", "add_pem_key", "add_pfx"]

_MAX_NAME = 64


def add_pfx(node: Node, contents: Contents, opener: Opener) -> None:
    """Add the certificates of a PKCS #12 file, and its first private key.

    Raises:
        BundleError: The file needs too many rounds, or cannot be opened.
    """
    outline = pfx_outline(node)
    contents.budget.declare(outline.rounds)
    opened = opener.open(SealedKind.PFX, node.encoding, what="the file", is_whole=outline.is_whole)
    contents.encrypted |= outline.is_protected
    contents.first_key_only |= not outline.has_one_key
    for certificate, name in opened.certificates:
        contents.add_certificate(certificate)
        if name is not None and (shown := printable(name, mark="")[:_MAX_NAME]):
            contents.names[certificate] = shown
    if opened.key is not None:
        contents.add_key(SealedKey(data=opened.key))
    if outline.keys > 1:
        contents.notices.append(f"the PFX holds {outline.keys} private keys, of which only the first is read")


def add_encrypted_key(data: bytes, contents: Contents) -> None:
    """Add an EncryptedPrivateKeyInfo, DER. It is opened later.

    Raises:
        BundleError: The file needs too many rounds.
        DerError: The structure is damaged.
    """
    contents.budget.declare(key_rounds(der.parse(data)))
    contents.add_key(SealedKey(data=data, kind=SealedKind.PKCS8))


def add_pem_key(label: str, data: bytes, dek_info: str, contents: Contents) -> None:
    """Add a key of a PEM block with a ``DEK-Info`` header, in the strict form that the library reads.

    Args:
        label: label of the block, for example ``RSA PRIVATE KEY``.
        data: encrypted contents of the block, decoded from Base64.
        dek_info: value of the header.
        contents: contents of the file.
    """
    headers = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {dek_info.strip()}\n\n"
    body = base64.encodebytes(data).decode()
    block = f"-----BEGIN {label}-----\n{headers}{body}-----END {label}-----\n"
    contents.add_key(SealedKey(data=block.encode(), kind=SealedKind.PEM))
