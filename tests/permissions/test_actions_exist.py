"""Actions and condition keys of the policies exist. Parliament has a copy of the service authorization reference."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from importlib import import_module, resources
from types import ModuleType
from typing import Any

import pytest

from tests.permissions.documented import LEDGER_POLICIES, NAMES, documented_policy

POLICIES = [name for name in NAMES if not name.endswith("-trust")]
"""Parliament does not check trust policies. The page has one, which is compared with the written trust policy."""
USABLE = {"MISMATCHED_TYPE_BUT_USABLE"}
"""`iam:PermissionsBoundary` is an ARN, but the IAM User Guide compares it with StringEquals."""


@pytest.fixture(scope="module")
def parliament() -> Any:
    """Import parliament with a stand-in for `pkg_resources`, which setuptools no longer has."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # parliament leaves its data files open
        paths = ModuleType("pkg_resources")
        paths.resource_filename = lambda package, name: str(resources.files(package) / name)  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "pkg_resources", paths)
        return import_module("parliament")


def findings(parliament: Any, policy: dict[str, Any]) -> set[str]:
    """Return the kinds of faults in a policy."""
    analyzed = parliament.analyze_policy_string(json.dumps(policy), ignore_private_auditors=True)
    return {finding.issue for finding in analyzed.findings} - USABLE


@pytest.mark.parametrize("name", POLICIES)
def test_actions_and_condition_keys_exist(parliament: Any, name: str) -> None:
    """Each action exists and supports the resources and the condition keys of its statement."""
    assert findings(parliament, documented_policy(name)) == set()


@pytest.mark.parametrize("name", LEDGER_POLICIES)
def test_actions_on_a_table_exist(parliament: Any, name: str) -> None:
    """Each action exists and supports a table as its resource."""
    assert findings(parliament, LEDGER_POLICIES[name]) == set()


FAULTS = {
    "action": ("Action", ["secretsmanager:GetSecretValues"], "UNKNOWN_ACTION"),
    "service": ("Action", ["secretmanager:GetSecretValue"], "UNKNOWN_PREFIX"),
    "resource": ("Resource", "arn:aws:sqs:eu-west-1:000000000000:queue", "RESOURCE_MISMATCH"),
    "condition key": (
        "Condition",
        {"StringEquals": {"secretsmanager:VersionStag": "AWSCURRENT"}},
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
    "operator": ("Condition", {"StringEqual": {"secretsmanager:VersionStage": "AWSCURRENT"}}, "UNKNOWN_OPERATOR"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_policy_is_found(parliament: Any, fault: str) -> None:
    """A misspelled action, service, key or operator, and a resource of another service, are found."""
    element, value, expected = FAULTS[fault]
    policy = copy.deepcopy(documented_policy("consumer"))
    policy["Statement"][0][element] = value
    assert expected in findings(parliament, policy)
