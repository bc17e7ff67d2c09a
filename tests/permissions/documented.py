"""The policies of docs/permissions.md, for the account of the emulators and one server."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.recording import ACCOUNT
from tools.smoke.documents import TEXTS
from tools.toolchain import ROOT

__all__ = ["API_KEY_SECRET", "DISTRIBUTION", "LEDGER_POLICIES", "NAMES", "POLICIES_OF", "documented_policy"]

API_KEY_SECRET = "permissions/api-key"  # noqa: S105 - the name of a secret
"""Name that replaces the page's ``mdm/api-key``, which the tests of the engine use on the same emulator."""
DISTRIBUTION: dict[str, Any] = {
    "profile": {"identifier": "com.example.mdm", "organization": "Example"},
    "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": API_KEY_SECRET}},
    "devices": ["AAAA-1"],
}
NAMES = tuple(TEXTS)

POLICIES_OF = {
    "deployer": ("deployer", "deployer-roles", "given", "kms"),
    "previewer": ("previewer", "given"),
    "status": ("previewer", "given", "status", "consumer-kms"),
    "consumer": ("consumer", "consumer-kms"),
    "collector": ("collector", "consumer-kms"),
    "gatekeeper": ("collector-gate",),
    "schedule": ("schedule",),
    "scheduler": ("schedule-trust",),
    "bounded": ("boundary",),
}
"""The policies of each principal, with a customer managed KMS key.

``gatekeeper`` is the collector when it evaluates a gate. ``scheduler`` is the service that assumes the role of a
schedule. ``bounded`` is a role that allows all actions within the permissions boundary, which is the maximum that a
deployer can create.
"""

LEDGER_POLICIES: dict[str, dict[str, Any]] = {
    name: json.loads(text)
    for name, text in re.findall(
        r"^```json ledger=(\w+)\n(.*?)^```$",
        (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
}
"""Policies for a ledger in DynamoDB, by name."""


def documented_policy(name: str, *, server: str = "berlin", suffix: str = "AbCdEf", stem: str = "") -> dict[str, Any]:
    """Return a policy of the page.

    Args:
        name: name of the policy.
        server: name that replaces the server of the page.
        suffix: the six characters that AWS adds to the ARN of the secret.
        stem: replacement for the first part of the queue's name; empty to keep it.
    """
    text = TEXTS[name].replace("111122223333", ACCOUNT)
    text = text.replace("secret:mdm/api-key-", f"secret:{API_KEY_SECRET}-")
    text = text.replace("ios-mdm/berlin-AbCdEf", f"ios-mdm/{server}-{suffix}")
    text = text.replace("ios-mdm/berlin-", f"ios-mdm/{server}-")
    if stem:
        text = text.replace("ios-mdm-berlin-288f4f2489", stem)
    found: dict[str, Any] = json.loads(text)
    return found
