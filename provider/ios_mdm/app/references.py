"""Reads the secrets that a definition refers to: never the secret of a pair, and an API key only for its URL (R39)."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from ios_mdm.address import is_loopback
from ios_mdm.core.bundle.password import decoded_text, password_text
from ios_mdm.core.references import URL_TAG, has_pair_tags, misplaced_kind
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.core.references import ApiKey
    from ios_mdm.ports import DescribedSecrets, SecretBytes

__all__ = ["api_key", "check_api_key", "password", "secret_value", "url_refusal"]

_PORTS: Final = {"http": 80, "https": 443}
_SPECIAL: Final = frozenset("/\\%;\0")
"""Characters in a decoded segment of a path that servers interpret differently."""
_CHANNEL: Final = "distribution.channel."


def secret_value(secrets: SecretBytes, name: str, where: str) -> bytes:
    """Return the current value of a secret that a definition refers to.

    Args:
        secrets: reads secrets.
        name: name or ARN of the secret.
        where: path of the key that refers to the secret, for messages.

    Raises:
        DefinitionError: The secret does not exist, has no value, or is the secret of a pair.
        StoreError: AWS refuses.
    """
    return _value(secrets, _description(secrets, name, where), name, where)


def password(secrets: SecretBytes, name: str, where: str) -> str:
    """Return the password in a secret. Raises the errors of :func:`secret_value`."""
    value = secret_value(secrets, name, where)
    _text(value, name, where)
    return password_text(value)


def check_api_key(secrets: DescribedSecrets, key: ApiKey, *, within: str = _CHANNEL) -> SecretDescription:
    """Check that the secret with an API key is for the channel's URL, and return it without reading its value.

    Args:
        secrets: reads secrets.
        key: reference to the API key.
        within: start of the path of the reference, for messages.

    Raises:
        DefinitionError: The secret does not exist, is the secret of a pair, or is for another URL.
        StoreError: AWS refuses.
    """
    where = f"{within}{key.where}"
    found = _description(secrets, key.secret, where)
    refused = url_refusal(key.url, found.tags.get(URL_TAG), key.secret)
    if refused is not None:
        raise DefinitionError(f"{where}: {refused}")
    return found


def api_key(secrets: SecretBytes, key: ApiKey, *, within: str = _CHANNEL) -> str:
    """Return the API key for the channel's URL. The arguments are those of :func:`check_api_key`.

    Raises:
        DefinitionError: An error of :func:`check_api_key`, or the value cannot be an API key. The message does not
            quote the value.
        StoreError: AWS refuses.
    """
    where = f"{within}{key.where}"
    value = _value(secrets, check_api_key(secrets, key, within=within), key.secret, where)
    text = _text(value, key.secret, where).strip()
    if not text:
        raise DefinitionError(f"{where}: the secret {key.secret} is empty: store the MDM server's API key in it")
    return text


def url_refusal(url: str, allowed: str | None, secret: str) -> str | None:
    """Return why an API key must not be sent to *url*, and what to do; None if it can be sent.

    Args:
        url: URL of the MDM server, as in the definition.
        allowed: value of the tag ``ios-mdm:url`` of the secret; None if it has no such tag.
        secret: name or ARN of the secret, for the message.
    """
    if allowed is None and is_loopback(urlsplit(url).hostname):
        return None
    if allowed is not None and _is_within(url, allowed):
        return None
    command = f"aws secretsmanager tag-resource --secret-id {secret} --tags Key={URL_TAG},Value=<URL>"
    if allowed is None:
        return (
            f"the secret {secret} has no tag {URL_TAG} that allows sending its API key to {url}, so the key is not "
            f"sent. If this is the URL of the MDM server, set the tag: {command}"
        )
    return (
        f"the tag {URL_TAG} of the secret {secret} allows sending its API key only to {allowed}, so the key is not "
        f"sent to {url}. Correct the url. If the MDM server has moved, change the tag: {command}"
    )


def _description(secrets: DescribedSecrets, name: str, where: str) -> SecretDescription:
    found = secrets.describe(name)
    if found is None:
        raise DefinitionError(f"{where}: there is no secret {name}: create it, or correct its name")
    if has_pair_tags(found.tags):
        raise DefinitionError(
            f"{where}: the secret {name} is not read, because it has the tags of a pair, which contains private keys. "
            "Store the value in another secret, and refer to that secret"
        )
    return found


def _value(secrets: SecretBytes, found: SecretDescription, name: str, where: str) -> bytes:
    value = secrets.current_bytes(found.arn)  # by ARN, because the name may refer to another secret by now
    if value is None:
        raise DefinitionError(f"{where}: the secret {name} has no value: store one in it")
    return value


def _text(value: bytes, name: str, where: str) -> str:
    text = decoded_text(value)
    problem = "bytes that are not UTF-8 text" if text is None else misplaced_kind(text)
    if text is None or problem is not None:
        raise DefinitionError(
            f"{where}: the secret {name} holds {problem} instead of one line with an API key or password, so it is not "
            "used. Store only the plain text in it"
        )
    return text


def _is_within(url: str, allowed: str) -> bool:
    """Return whether *url* has the scheme, host and port of *allowed*, and its path or a path below it."""
    try:
        found, tagged = urlsplit(url), urlsplit(allowed)
        ports = [one.port or _PORTS.get(one.scheme) for one in (found, tagged)]
    except ValueError:
        return False
    if (found.scheme, found.hostname) != (tagged.scheme, tagged.hostname) or ports[0] != ports[1]:
        return False
    parts, base = ([unquote(part) for part in one.path.split("/") if part] for one in (found, tagged))
    # A dot segment can lead out of the allowed path. Some servers decode more than once, split at an encoded slash or a
    # backslash, or drop the text after a semicolon or a NUL.
    if any(part in {".", ".."} or _SPECIAL & set(part) for part in parts):
        return False
    return all(expected is None or part == expected for part, expected in zip_longest(parts, base))
