"""Denied actions: AWS's own reason, and the advice for the kind of policy that denies an action.

AWS documents the form of these messages in "Troubleshoot access denied error messages" of the IAM user guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Denial"]

_ARN: Final = r"[A-Za-z0-9:/+=,.@*_-]+"
_KIND: Final = r"[A-Za-z -]+?(?:policy|boundary)"
_MESSAGE: Final = re.compile(
    rf"(?:User: (?P<who>{_ARN}) is n|N)ot authorized to perform:? (?P<action>[a-z0-9-]+:[A-Za-z]+)"
    rf"(?: on resource: (?P<resource>{_ARN}))?"
    rf"(?P<why>,? (?:with an explicit deny in an? (?P<denying>{_KIND})(?:: {_ARN})?"
    rf"|because no (?P<lacking>{_KIND}) allows))?"
)

_OF_ORGANIZATION: Final = frozenset({"service control policy", "resource control policy"})
_RESOURCE_BASED: Final = "resource-based policy"
_WHICH: Final = {
    "permissions boundary": "the permissions boundary of these credentials",
    "session policy": "the session policy that the role is assumed with",
    "vpc endpoint policy": "the policy of the VPC endpoint that this network uses",
}
"""Policies that bound what other policies allow, by AWS's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A denied action as AWS reports it. It contains only ARNs and words of AWS, so it can be shown.

    Args:
        action: IAM action, for example ``secretsmanager:DescribeSecret``.
        principal: ARN of the principal; empty if AWS does not name it.
        resource: ARN or name of the resource; empty if AWS does not name it.
        policy: kind of the policy that denies or does not allow the action, lower case; empty if AWS does not name it.
        explanation: the end of AWS's sentence, from "with" or "because".
        is_explicit: True if a policy denies the action, False if no policy allows it.
    """

    action: str
    principal: str = ""
    resource: str = ""
    policy: str = ""
    explanation: str = ""
    is_explicit: bool = False

    @classmethod
    def from_message(cls, message: str) -> Denial | None:
        """Return the denial that *message* reports, or None if the message has another form."""
        found = _MESSAGE.search(message)
        if found is None:
            return None
        part = {key: text or "" for key, text in found.groupdict().items()}
        return cls(
            action=part["action"],
            principal=part["who"],
            resource=part["resource"],
            policy=(part["denying"] or part["lacking"]).lower(),
            explanation=part["why"].strip(", "),
            is_explicit=bool(part["denying"]),
        )

    @property
    def reason(self) -> str:
        """The reason in AWS's words."""
        subject = f"{self.principal} is not" if self.principal else "not"
        on = f" on {self.resource}" if self.resource else ""
        end = f" {self.explanation}" + ("" if self.is_explicit else " it") if self.explanation else ""
        return f"{subject} authorized to perform {self.action}{on}{end}"

    def advice(self, default: str) -> str:
        """Return the advice to the user: a sentence without a full stop.

        Args:
            default: the advice if no policy of the credentials allows the action.
        """
        if self.policy in _OF_ORGANIZATION:
            return (
                "Ask an administrator of the AWS organization to change that policy: it overrides all permissions of "
                "these credentials"
            )
        of_resource = f"the policy of {self.resource or 'the resource'} itself"
        if not self.is_explicit and self.policy not in _WHICH:
            return f"{default}, or in {of_resource}" if self.policy == _RESOURCE_BASED else default
        which = of_resource if self.policy == _RESOURCE_BASED else _WHICH.get(self.policy, "the policy with that Deny")
        return f"Change {which}: it must {'not deny' if self.is_explicit else 'allow'} {self.action}"
