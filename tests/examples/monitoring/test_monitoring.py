"""The alert rules and the dashboard, checked by Prometheus' promtool and by the models of Grafana."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from ios_mdm.cli import metrics
from tools.toolchain import ROOT, Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RULES = ROOT / "examples" / "monitoring" / "ios-mdm.rules.yml"
DASHBOARD = ROOT / "examples" / "monitoring" / "ios-mdm.dashboard.json"
RULE_TESTS = ROOT / "tests" / "examples" / "monitoring" / "rules_test.yml"
FAMILIES = (*metrics._server_families([], {}), *metrics._watched_families([]))


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, or skip the test if this machine has none."""
    found = Toolchain.verifier("promtool")
    if found is None:
        pytest.skip("promtool is missing: run `python3 tools/bootstrap.py --only promtool`")
    return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=120, check=False)


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions() -> list[str]:
    """Return the expressions of the panels, with the variable of the dashboard replaced as Grafana does."""
    return [target["expr"].replace("$server", ".*") for panel in dashboard()["panels"] for target in panel["targets"]]


def test_promtool_accepts_the_rules() -> None:
    """Each expression and each template is valid."""
    done = promtool("check", "rules", RULES)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(rules())} rules found" in done.stdout


def test_the_rules_raise_the_expected_alerts() -> None:
    """The scenarios are in rules_test.yml."""
    done = promtool("test", "rules", RULE_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_raised_in_one_scenario_and_silent_for_a_healthy_pair() -> None:
    """A new rule needs a scenario."""
    checks = [
        (check["alertname"], bool(check["exp_alerts"]))
        for scenario in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
        for check in scenario["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in rules()}
    assert {name for name, raised in checks if raised} == names
    assert {name for name, raised in checks if not raised} == names


def test_promtool_accepts_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    """Each expression is checked as a recording rule."""
    group = {
        "name": "panels",
        "rules": [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions())],
    }
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_dashboard_use_the_metrics_of_status() -> None:
    """Each metric is exported, each exported one is used in the dashboard, and the page has a row for each."""
    exported = {family.name for family in FAMILIES}
    used = {name for one in expressions() for name in re.findall(r"ios_mdm_\w+", one)}
    assert used == exported
    assert {name for rule in rules() for name in re.findall(r"ios_mdm_\w+", rule["expr"])} <= exported
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(ios_mdm_\w+)` \|", page, re.MULTILINE) == [family.name for family in FAMILIES]


def _differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Return the paths of values that *after* lacks or has changed."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from _differences(value, after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif before != after:
        yield path


def lost_values(content: dict[str, Any]) -> list[str]:
    """Return the paths of values of a dashboard that the models of Grafana do not have."""
    register_default_plugins()
    return list(_differences(content, json.loads(JSONEncoder().encode(Dashboard.from_json(content)))))


def test_grafana_knows_each_key_of_the_dashboard() -> None:
    """The models of Grafana drop a key that they do not have. All keys are still there after a round trip."""
    assert lost_values(dashboard()) == []


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        (lambda one: one.update(tilte="x"), ".tilte"),
        (lambda one: one["panels"][0]["options"].update(colourMode="value"), ".panels[0].options.colourMode"),
        (lambda one: one["panels"][0]["targets"][0].update(exprr="1"), ".panels[0].targets[0].exprr"),
        (lambda one: one["panels"][0]["gridPos"].update(z=1), ".panels[0].gridPos.z"),
    ],
)
def test_a_misspelled_key_would_be_found(damage: Callable[[dict[str, Any]], None], path: str) -> None:
    """The check of the test above works on each level."""
    content = dashboard()
    damage(content)
    assert lost_values(content) == [path]


def test_panels_do_not_overlap() -> None:
    """Ids are unique, and each cell of the grid of 24 columns has at most one panel."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for panel in panels
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24
