"""Sends commands to devices through NanoMDM's API (v0.9.0: ``PUT /v1/enqueue/<id>,<id>…``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from ios_mdm.adapters.http_client import json_object, trusting_context, without_key
from ios_mdm.adapters.nanomdm_client import Client
from ios_mdm.address import is_http_url
from ios_mdm.core.enrollment import checked_enrollment_ids, without_ids
from ios_mdm.core.text import one_line
from ios_mdm.errors import BatchTooLargeError, DefinitionError, DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

__all__ = ["NanoMdm"]

MAX_URL: Final = 7168
"""Characters. By default nginx accepts a request line of 8 KiB (large_client_header_buffers of ngx_http_core_module,
``4 8k``), and Apache httpd one of 8190 bytes (LimitRequestLine). The rest is a margin for the method, the version and a
path that a proxy adds."""

_ESCAPES: Final = {":": "%3A", "@": "%40", "+": "%2B"}
"""The characters of an enrollment id that a path must not contain as they are."""
_LONGER: Final = 2
"""Characters that an escape adds."""
_MAX_IDS_SHOWN: Final = 5
_MAX_TEXT_SHOWN: Final = 300
"""Characters: three lines of a terminal."""


@dataclass(slots=True, kw_only=True)
class NanoMdm:
    """An ``MdmChannel`` through a NanoMDM server.

    Args:
        url: base URL of the API, ``https://host[:port][/prefix]``, without ``/v1``.
        api_key: API key, NanoMDM's option ``-api``; never shown.
        ca_file: PEM file with the trusted root certificates; None for those of the system.
        push: whether NanoMDM wakes the devices through APNs.
        batch_size: maximum number of devices in one call. The length of the URL is limited, too.

    Raises:
        DefinitionError: The URL is not the URL of an API, the key is empty, or *ca_file* cannot be read.
    """

    url: str
    api_key: str = field(repr=False)
    ca_file: str | None = None
    push: bool = True
    batch_size: int = 500
    _client: Client = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the settings before anything is sent."""
        _check_url(self.url)
        if not self.api_key.strip():
            raise DefinitionError("the API key of the MDM server is empty: check the secret named by apiKeySecret")
        tls = None if self.ca_file is None else trusting_context(self.ca_file, self.url)
        self._client = Client(self.url, self.api_key, tls)

    def close(self) -> None:
        """Close the connections to the server. A later call opens a new one."""
        self._client.close()

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the devices in batches of at most *batch_size*, each with a URL of at most :data:`MAX_URL` characters.

        Raises:
            DefinitionError: An id is not a valid enrollment id.
        """
        batches: list[list[str]] = []
        length = 0
        for one in checked_enrollment_ids(enrollment_ids):
            added = len(one) + 1 + _LONGER * (one.count(":") + one.count("@") + one.count("+"))
            if not batches or len(batches[-1]) == self.batch_size or length + added > MAX_URL:
                batches.append([])
                length = len(self._url([]))
            batches[-1].append(one)
            length += added
        return batches

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Queue one command for at most *batch_size* devices.

        Args:
            enrollment_ids: not empty; duplicates count once.
            command: MDM command plist. NanoMDM accepts a CommandUUID only once, even for other devices. A second call
                with the same CommandUUID (after a crash or a lost answer) is a repetition and no error.

        Returns:
            A notice if the command is queued but devices could not be woken.

        Raises:
            BatchTooLargeError: The server, or a proxy in front of it, refuses a URL or request of this size.
            DeliveryError: The server is down, refuses the API key, or rejects the command.
            DefinitionError: An id is not a valid enrollment id.
            ValueError: No ids, or more than *batch_size*.
        """
        ids = checked_enrollment_ids(enrollment_ids)
        if not 0 < len(ids) <= self.batch_size:
            raise ValueError(f"a call takes 1 to {self.batch_size} devices, not {len(ids)}")
        response = self._client.enqueue(
            _quoted_text(ids),
            query=self._query,
            content=command,
            hidden=lambda text: self._excerpt([text], ids),
        )
        return self._notices(response, ids)

    def _url(self, ids: Sequence[str]) -> str:
        return f"{self.url.rstrip('/')}/v1/enqueue/{_quoted_text(ids)}{self._query}"

    @property
    def _query(self) -> str:
        return "" if self.push else "?nopush=1"

    def _error(self, problem: str) -> DeliveryError:
        return DeliveryError(f"the MDM server at {self.url} {problem}")

    def _excerpt(self, texts: Sequence[str], ids: Sequence[str]) -> str:
        """Return the texts of the server without the key and the ids, which they contain if they repeat the request."""
        keyless = [without_key(text, self.api_key) for text in texts]
        return _excerpt(list(dict.fromkeys(without_ids(unquote(text), ids) for text in keyless)))

    def _notices(self, response: httpx.Response, ids: Sequence[str]) -> tuple[str, ...]:
        """Return the notices for the user.

        Raises:
            DeliveryError: The command was not queued for every device.
        """
        answer = json_object(response.text)
        status = answer.get("status")
        results = status.items() if isinstance(status, dict) else ()
        # Some storages write the command here in place of the device (kv/queue.go).
        named = len({key for key, one in results if _has(one, "command_error")} & {*ids})
        refused = [str(one["command_error"]) for _, one in results if _has(one, "command_error")]
        asleep = [str(one["push_error"]) for _, one in results if _has(one, "push_error")]
        command_error = str(answer.get("command_error") or "")
        push_error = str(answer.get("push_error") or "")
        if _is_repetition(command_error, str(answer.get("command_uuid") or "")):
            return ()
        if command_error or refused:
            reasons = [command_error, *refused] if command_error else refused
            count = f" for {named} of {len(ids)} devices" if named else ""
            raise self._error(f"rejects the command{count}: {self._excerpt(reasons, ids)}")
        if "command_uuid" not in answer and response.status_code in _TOO_LARGE:
            raise BatchTooLargeError(str(self._error(_refusal(response))))
        if "command_uuid" not in answer:
            raise self._error(_refusal(response))
        if not (self.push and (push_error or asleep)):
            return ()
        count = "no device was" if push_error else f"{len(asleep)} of them {'was' if len(asleep) == 1 else 'were'} not"
        why = self._excerpt([push_error] if push_error else asleep, ids)
        devices = "1 device" if len(ids) == 1 else f"{len(ids)} devices"
        return (f"queued for {devices}, but {count} woken through APNs ({why}): devices get it at their next check-in",)


def _quoted_text(ids: Sequence[str]) -> str:
    """Return checked ids in the form that they have in a URL. ``urllib.parse.quote`` takes ten times as long."""
    text = ",".join(ids)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _check_url(url: str) -> None:
    # before any part of the URL is shown, because it might contain a password
    if "@" in url:
        raise DefinitionError(
            "the URL of the MDM server must not contain a user or password: apiKeySecret names the secret with the key"
        )
    if not is_http_url(url):
        raise DefinitionError(f"{url!r} is not the URL of an MDM server. Write https://host[:port][/prefix]")


def _has(result: object, key: str) -> bool:
    return isinstance(result, dict) and bool(result.get(key))


def _is_repetition(error: str, command_uuid: str) -> bool:
    """Return whether *error* reports a known CommandUUID, in the words of inmem and filekv, of pgsql, or of mysql."""
    return bool(command_uuid) and (
        error == f"command already exists: {command_uuid}"
        or 'unique constraint "commands_pkey"' in error
        or f"Duplicate entry '{command_uuid}' for key" in error
    )


_TOO_LARGE: Final = frozenset({413, 414, 431})
_REFUSALS: Final[Mapping[int, str]] = {
    401: "refuses the API key: check the secret named by apiKeySecret",
    403: "refuses the request (HTTP 403): check the secret named by apiKeySecret, and any proxy in front of the server",
    404: "has no NanoMDM API at this URL (HTTP 404): check the channel's url, and that NanoMDM runs with -api",
    413: "or a proxy in front of it refuses a command of this size (HTTP 413): raise the proxy's limit",
    414: "or a proxy in front of it refuses a URL of this length (HTTP 414): raise the proxy's limit",
    431: "or a proxy in front of it refuses a URL of this length (HTTP 431): raise the proxy's limit",
}


def _refusal(response: httpx.Response) -> str:
    if known := _REFUSALS.get(response.status_code):
        return known
    if response.is_redirect:
        return f"redirects to another URL (HTTP {response.status_code}): set the channel's url to the final URL"
    # The text of the answer is not shown, because the debug page of a proxy repeats the request with the key.
    return f"sends an answer that is not from NanoMDM (HTTP {response.status_code}): check the channel's url"


def _excerpt(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MAX_IDS_SHOWN} more" if len(texts) > _MAX_IDS_SHOWN else ""
    return "; ".join(one_line(text, limit=_MAX_TEXT_SHOWN) for text in texts[:_MAX_IDS_SHOWN]) + more
