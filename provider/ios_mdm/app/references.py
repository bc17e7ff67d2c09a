"""Reads the secrets that a definition refers to, and never the secret of a pair (R39)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.references import has_pair_tags, misplaced
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from ios_mdm.ports import SecretBytes
    from ios_mdm.settings import NanoMdmSettings

__all__ = ["api_key", "password", "secret_value"]

_API_KEY = "distribution.channel.nanomdm.apiKeySecret"


def secret_value(secrets: SecretBytes, name: str, where: str) -> bytes:
    """Return the current value of a secret that a definition refers to.

    Args:
        secrets: of AWS.
        name: name or ARN of the secret.
        where: path of the key that refers to it, for messages.

    Raises:
        DefinitionError: There is no such secret, it has no value, or it is a pair's.
        StoreError: AWS refuses.
    """
    found = secrets.describe(name)
    if found is None:
        raise DefinitionError(f"{where}: there is no secret {name}: create it, or correct its name")
    if has_pair_tags(found.tags):
        raise DefinitionError(
            f"{where}: the secret {name} is not read: its tags are those of a pair, which holds private keys. Store "
            "the value in another secret, and name that one"
        )
    value = secrets.current_bytes(found.arn)  # the secret whose tags were checked, whatever the name resolves to now
    if value is None:
        raise DefinitionError(f"{where}: the secret {name} has no value: store one in it")
    return value


def password(secrets: SecretBytes, name: str, where: str) -> bytes:
    """Return the value of a secret that holds a password; raises as :func:`secret_value`."""
    value = secret_value(secrets, name, where)
    _text(value, name, where)
    return value


def api_key(secrets: SecretBytes, channel: NanoMdmSettings) -> str:
    """Return the API key of the MDM server.

    Raises:
        DefinitionError: As :func:`secret_value`, or the value cannot be an API key. The error does not quote it.
        StoreError: AWS refuses.
    """
    name = channel.api_key_secret
    text = _text(secret_value(secrets, name, _API_KEY), name, _API_KEY).strip()
    if not text:
        raise DefinitionError(f"{_API_KEY}: the secret {name} is empty: store the MDM server's API key in it")
    return text


def _text(value: bytes, name: str, where: str) -> str:
    try:
        text = value.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    problem = "bytes that are not UTF-8 text" if text is None else misplaced(text)
    if text is None or problem is not None:
        raise DefinitionError(
            f"{where}: the secret {name} holds {problem} and not one line with an API key or password, so it is not "
            "used. Store the plain text alone in it"
        )
    return text
