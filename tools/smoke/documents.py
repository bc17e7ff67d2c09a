"""The policies of docs/permissions.md, for the names of one run."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
_BLOCK = re.compile(r"^```json policy=(?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

TEXTS = {block["name"]: block["text"] for block in _BLOCK.finditer(_PAGE.read_text(encoding="utf-8"))}
"""Text of each policy on the page, by name."""

POLICIES_OF = {
    "deployer": ("deployer", "deployer-roles", "kms"),
    "previewer": ("previewer",),
    "status": ("previewer", "status", "consumer-kms"),
    "consumer": ("consumer", "consumer-kms"),
}
"""Names of the policies of each role that a run assumes, with a KMS key."""


def document(name: str, *, prefix: str, account: str, region: str, key: str, suffix: str = "AbCdEf") -> str:
    """Return a policy of the page, with the resources of the run.

    Args:
        name: Name of the policy.
        prefix: Prefix of all names of the run, in place of ``ios-mdm``.
        account: Account number, 12 digits.
        region: AWS region.
        key: Id of the KMS key.
        suffix: Last six characters of the secret's ARN.
    """
    text = TEXTS[name].replace("ios-mdm-berlin-288f4f2489-", "ios-mdm-").replace("AbCdEf", suffix)
    # These names have no prefix on the page. Without a prefix, a run could change resources that it did not create.
    text = re.sub(r"(?<=[:/])(mdm[-/]|alarms\b)", r"ios-mdm-\1", text)
    text = re.sub(r"(?<=[:/])ios-mdm(?=[-/])", prefix, text)
    return text.replace("111122223333", account).replace("eu-west-1", region).replace("KEY-ID", key)
