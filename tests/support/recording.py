"""Requests to AWS as IAM evaluates them, derived from the calls of boto3."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.adapters import aws
from tests.support.iam import Request
from tests.support.implied import implied_requests
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

__all__ = ["ACCOUNT", "Recorder", "arn"]

ACCOUNT = "000000000000"
"""Account of the emulators."""


def arn(service: str, resource: str) -> str:
    """Return an ARN in the account and region of the emulator."""
    region = "" if service == "iam" else ministack.REGION
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


@dataclass(slots=True)
class Recorder:
    """The requests of each principal.

    Args:
        requests: requests by principal, without duplicates, in order.
        schedules: targets of all schedules that were written.
        roles: path and permissions boundary of each created role, by name.
        documents: the last trust policy and the last permissions policy that were written for roles.
    """

    requests: dict[str, list[Request]] = field(default_factory=dict)
    schedules: list[Mapping[str, Any]] = field(default_factory=list)
    roles: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    _principal: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Record the calls of every client that is created from now on."""
        connect = aws._connect

        def connected(*arguments: Any) -> Any:
            client = connect(*arguments)
            client.meta.events.register("before-parameter-build", self._record_request)
            client.meta.events.register("after-call", self._record_answer)
            return client

        monkeypatch.setattr(aws, "_connect", connected)
        aws.close_clients()

    @contextmanager
    def acting(self, principal: str | None) -> Iterator[None]:
        """Record the calls in the block as requests of *principal*; None records nothing."""
        before, self._principal = self._principal, principal
        try:
            yield
        finally:
            self._principal = before

    def _record_request(self, *, params: dict[str, Any], model: Any, context: dict[str, Any], **_rest: object) -> None:
        context["ios_mdm"] = dict(params)
        if self._principal is None:
            return
        service = model.service_model.endpoint_prefix
        action = f"{service}:{model.name}"
        with self._lock:
            request = Request(
                action=action,
                resource=self._resource(service, model.name, params),
                context=self._context(action, params),
            )
            for one in (*implied_requests(request, params), request):
                found = self.requests.setdefault(self._principal, [])
                if one not in found:
                    found.append(one)
            if "Target" in params:
                self.schedules.append(params["Target"])

    def _record_answer(self, *, model: Any, parsed: dict[str, Any], context: dict[str, Any], **_rest: object) -> None:
        params = context["ios_mdm"]
        if "Error" in parsed or not isinstance(role := params.get("RoleName"), str):
            return
        with self._lock:
            path, boundary = self.roles.get(role, ("/", None))
            match model.name:
                case "CreateRole":
                    self.roles[role] = (params["Path"], params.get("PermissionsBoundary"))
                    self.documents["trust"] = params["AssumeRolePolicyDocument"]
                case "PutRolePermissionsBoundary":
                    self.roles[role] = (path, params["PermissionsBoundary"])
                case "GetRole" if role in self.roles:
                    found = parsed["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
                    self.roles[role] = (path, found)
                case "PutRolePolicy":
                    self.documents["policy"] = params["PolicyDocument"]
                case "DeleteRole":
                    del self.roles[role]
                case _:
                    del boundary

    def _resource(self, service: str, operation: str, params: Mapping[str, Any]) -> str:
        """Return the ARN of a call's resource. A role that does not exist gets the path "/"."""
        match service:
            case "secretsmanager":
                name = params.get("SecretId") or params["Name"]
                return name if name.startswith("arn:") else arn(service, f"secret:{name}-AbCdEf")
            case "scheduler":
                return arn(service, f"schedule/default/{params['Name']}")
            case "sqs":
                name = params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]
                return arn(service, name)
            case "iam":
                name = params["RoleName"]
                path = params["Path"] if operation == "CreateRole" else self.roles.get(name, ("/", None))[0]
                return arn(service, f"role{path}{name}")
            case "sns":
                name = params["TopicArn"]
                assert isinstance(name, str)
                return name
            case "sts":
                return "*"
        raise AssertionError(service)

    def _context(self, action: str, params: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
        """Return the condition keys of a call, as the service authorization reference lists them for the action."""
        found: dict[str, Any]
        match action:
            case "secretsmanager:GetSecretValue" | "secretsmanager:UpdateSecretVersionStage":
                found = {"secretsmanager:VersionStage": params.get("VersionStage")}
            case "secretsmanager:TagResource":
                found = {"aws:TagKeys": tuple(tag["Key"] for tag in params["Tags"])}
            case "secretsmanager:UntagResource":
                found = {"aws:TagKeys": tuple(params["TagKeys"])}
            case "iam:CreateRole" | "iam:PutRolePermissionsBoundary":
                found = {"iam:PermissionsBoundary": params.get("PermissionsBoundary")}
            case "iam:PutRolePolicy" | "iam:DeleteRolePolicy":
                found = {"iam:PermissionsBoundary": self.roles.get(params["RoleName"], ("/", None))[1]}
            case _:
                found = {}
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """The recorded life of a server.

    Args:
        recorder: recorder with the requests.
        server: name of the server.
        secret_arn: ARN of the pair's secret.
    """

    recorder: Recorder
    server: str
    secret_arn: str
