"""Faults of AWS that a proxy in front of an emulator plays: stale reads, deleted versions, and roles not known yet."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.stack import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stack import Answer

__all__ = ["DeletedVersions", "LateRoles", "StaleReads"]

_WRITES = {"CreateSecret", "PutSecretValue", "UpdateSecretVersionStage", "TagResource", "UntagResource"}
_DESCRIBE = "DescribeSecret"


def _secret(body: bytes) -> str:
    """Return the secret that a request to Secrets Manager names."""
    request: dict[str, str] = json.loads(body)
    return request.get("SecretId") or request["Name"]


def _describe(secret: str, send: Callable[[str, bytes], Answer]) -> Answer:
    return send(_DESCRIBE, json.dumps({"SecretId": secret}).encode())


@dataclass(slots=True)
class StaleReads:
    """Servers of AWS describe secrets in turn, and one of them gets each write late.

    Args:
        servers: number of servers.
        lag: number of descriptions after a write until the late server shows it.
        count: number of stale descriptions.
    """

    servers: int = 2
    lag: int = 24
    count: int = 0
    _reads: int = 0
    _former: list[tuple[int, str, Answer]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, call: str, body: bytes, send: Callable[[str, bytes], Answer]) -> Answer:
        """Answer a call."""
        if call in _WRITES:
            secret = _secret(body)
            before = _describe(secret, send)
            with self._lock:
                self._former.append((self._reads, secret, before))
            return send(call, body)
        return self._description(_secret(body), send) if call == _DESCRIBE else send(call, body)

    def _description(self, secret: str, send: Callable[[str, bytes], Answer]) -> Answer:
        with self._lock:
            self._reads += 1
            is_late = self._reads % self.servers == 0
            # The state before the first write that the late server does not have yet.
            found = (answer for at, name, answer in self._former if name == secret and self._reads - at <= self.lag)
            former = next(found, None) if is_late else None
            self.count += former is not None
        return former or _describe(secret, send)


@dataclass(slots=True)
class DeletedVersions:
    """AWS deletes each version without a label as soon as it has lost its last label.

    Args:
        refused: ids of the deleted versions that were requested.
    """

    refused: list[str] = field(default_factory=list)

    def answer(self, call: str, body: bytes, send: Callable[[str, bytes], Answer]) -> Answer:
        """Answer a call."""
        request: dict[str, Any] = json.loads(body) if call in {"GetSecretValue", "UpdateSecretVersionStage"} else {}
        version = request.get("VersionId") or request.get("MoveToVersionId")
        if version is None:
            return send(call, body)
        found = json.loads(_describe(request["SecretId"], send).content)
        if found.get("VersionIdsToStages", {}).get(version):
            return send(call, body)
        self.refused.append(version)
        return refusal(
            "ResourceNotFoundException",
            f"Secrets Manager can't find the specified secret value for VersionId: {version}",
        )


@dataclass(slots=True)
class LateRoles:
    """IAM and EventBridge Scheduler do not know a new role in the first calls after its creation.

    Args:
        refusals: number of calls to each of the two services that are refused.
        refused: refused calls.
    """

    refusals: int = 2
    refused: list[str] = field(default_factory=list)
    _left: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, call: str, body: bytes, send: Callable[[str, bytes], Answer]) -> Answer:
        """Answer a call."""
        service = {"PutRolePolicy": "iam", "POST ": "scheduler", "PUT ": "scheduler"}.get(call.partition("/")[0], "")
        with self._lock:
            if call == "CreateRole":
                self._left = {"iam": self.refusals, "scheduler": self.refusals}
            is_known = not self._left.get(service)
            if not is_known:
                self._left[service] -= 1
                self.refused.append(call.partition("/")[0])
        if is_known:
            return send(call, body)
        if service == "iam":
            return refusal("NoSuchEntity", "The role with name … cannot be found.", is_form=True)
        return refusal(
            "ValidationException",
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
        )
