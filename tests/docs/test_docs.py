"""The documentation agrees with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
import yaml
from jsonschema import Draft202012Validator
from moto.iam.policy_validation import IAMPolicyDocumentValidator, IAMTrustPolicyDocumentValidator

from ios_mdm.core.pair import schedule, schedule_role
from ios_mdm.core.pair.decision import Phase
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.pair.layout import ADDRESS_TAG, HIGHEST_TAG, MAIN_GENERATION_TAG, OWNER_TAG
from ios_mdm.core.pair.secret import Label
from ios_mdm.settings import StackSettings, parse_stack
from tools import public_roots, schema

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(info: str) -> list[Any]:
    """Return each code block with this info string as a parameter with the name of its page."""
    return [
        pytest.param(block["text"], id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, block in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
        if block["info"].strip() == info
    ]


def policy(name: str) -> dict[str, Any]:
    """Return a policy of docs/permissions.md."""
    (block,) = [
        block for block in BLOCK.finditer(read("docs/permissions.md")) if block["info"] == f"json policy={name}"
    ]
    parsed: dict[str, Any] = json.loads(block["text"])
    return parsed


POLICIES = re.findall(r"^```json policy=(\S+)$", read("docs/permissions.md"), re.MULTILINE)


def actions(name: str) -> set[str]:
    """Return the actions of a policy."""
    return {action for statement in policy(name)["Statement"] for action in statement["Action"]}


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def stack_schema() -> Draft202012Validator:
    """Return a validator of the schema for editors."""
    return Draft202012Validator(json.loads(read("docs/definition.schema.json")))


def test_the_list_of_public_roots_is_fresh() -> None:
    """The committed page is the output of ``python -m tools.public_roots`` with the pinned version of certifi."""
    assert read("docs/public-roots.md") == public_roots.page_text()


def test_the_schema_is_fresh() -> None:
    """The committed schema is the output of ``python -m tools.schema``."""
    assert read("docs/definition.schema.json") == schema.schema_text(read("docs/definition.md"))


def test_every_key_is_on_the_page_and_no_other() -> None:
    """Each key of the models has its row in docs/definition.md."""
    assert set(schema.descriptions(read("docs/definition.md"))) == {key.path for key in schema.known_keys()}


@pytest.mark.parametrize("row", ["| `main.issue.key` |", "| `ios-mdm:aws` |"])
def test_a_key_without_a_row_is_reported(row: str) -> None:
    """A missing row is an error with the name of the key."""
    page = "\n".join(line for line in read("docs/definition.md").splitlines() if not line.startswith(row))
    with pytest.raises(schema.SchemaError, match=rf"lacks a row for: {row.strip('| `')}"):
        schema.schema_text(page)


def test_a_row_without_a_key_is_reported() -> None:
    """A row for an unknown key is an error."""
    page = read("docs/definition.md") + "\n| `main.color` | text | | Its color. |\n"
    with pytest.raises(schema.SchemaError, match=r"an unknown key: main\.color"):
        schema.schema_text(page)


def test_the_defaults_on_the_page_are_those_of_the_models() -> None:
    """The row of a key has the default of the schema."""
    rows = {
        line.split("`")[1]: line.split(" | ")[2].strip()
        for line in read("docs/definition.md").splitlines()
        if line.startswith("| `") and line.count(" | ") == 3
    }
    definitions: dict[str, Any] = StackSettings.model_json_schema(by_alias=True)["$defs"]
    for key in schema.known_keys():
        default = definitions.get(key.model, {"properties": {}})["properties"].get(key.alias, {}).get("default")
        if default is not None:
            text = default if isinstance(default, str) else json.dumps(default)
            assert rows[key.path] == f"`{text}`", key.path


def test_every_type_of_key_is_on_the_page() -> None:
    """The page lists all types of keys of a certificate."""
    assert [key for key in KeyType if f"`{key}`" not in read("docs/definition.md")] == []


def test_there_is_a_definition_to_copy() -> None:
    """The README has a block that the tests below parse."""
    assert "```yaml definition\n" in read("README.md")


@pytest.mark.parametrize("text", blocks("yaml definition"))
def test_definitions_parse(text: str, stack_schema: Draft202012Validator) -> None:
    """The provider and the schema accept each definition on a page."""
    raw = yaml.safe_load(text)
    settings = parse_stack({key.removeprefix("ios-mdm:"): value for key, value in raw["config"].items()})
    assert settings.servers
    stack_schema.validate(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"adress": "x"},
        {"warnDays": 0},
        {"main": {"issue": {"validityDays": 825}}},
        {"reserve": {"issue": {"key": "x"}}},
    ],
)
def test_an_editor_marks_what_is_wrong(change: dict[str, Any], stack_schema: Draft202012Validator) -> None:
    """The schema rejects unknown keys and values outside limits and choices, as the provider does."""
    server = {"name": "berlin", "address": "mdm.example.com"}
    assert stack_schema.is_valid({"config": {"ios-mdm:servers": [server]}, "encryptionsalt": "v1:"})
    assert not stack_schema.is_valid({"config": {"ios-mdm:servers": [server | change]}})


def test_an_editor_knows_the_folder_of_servers(stack_schema: Draft202012Validator) -> None:
    """A stack has either a list or a folder."""
    listed, folder = (
        {"ios-mdm:servers": [{"name": "a", "address": "a.example"}]},
        {"ios-mdm:serversDirectory": "servers"},
    )
    assert stack_schema.is_valid({"config": listed})
    assert stack_schema.is_valid({"config": folder})
    assert not stack_schema.is_valid({"config": {**listed, **folder}})
    assert not stack_schema.is_valid({"config": {}})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """The target of each link to a page or a heading exists."""
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        name, _, anchor = link["target"].partition("#")
        if "://" in name:
            continue
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link['target']}"
        assert target.resolve().is_relative_to(ROOT), f"{page.name}: {link['target']} leads out of the project"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link['target']}"


def test_pages_that_messages_name_exist() -> None:
    """Each page that a message of the provider or a tool names exists."""
    named = {
        page
        for folder in ("provider", "components", "tools")
        for module in (ROOT / folder).rglob("*.py")
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", module.read_text(encoding="utf-8"))
    }
    assert "docs/serve.md" in named
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, schema.SCHEMA], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_path_of_one_machine(page: Path) -> None:
    """Absolute paths of the author's machine do not exist for readers."""
    assert not re.search(r"(?<![\w.])/(home|root|Users|work|tmp|var/folders)\b", page.read_text(encoding="utf-8"))


def test_all_stored_data_is_on_the_page() -> None:
    """docs/storage.md has the names of all labels and tags."""
    names = [*Label, OWNER_TAG, ADDRESS_TAG, HIGHEST_TAG, MAIN_GENERATION_TAG]
    assert [name for name in names if f"`{name}`" not in read("docs/storage.md")] == []


def test_every_phase_is_explained() -> None:
    """docs/operate.md has the next action for each phase."""
    assert [phase for phase in Phase if f"| `{phase}` |" not in read("docs/operate.md")] == []


def test_the_readme_is_short() -> None:
    """README.md has at most 150 lines."""
    assert len(read("README.md").splitlines()) <= 150


def test_every_decision_is_in_the_list() -> None:
    """Each decision has one row with its title, status and date, and its page has the same ones."""
    rows = re.findall(
        r"^\| \[(\d{4})\]\((.+\.md)\) \| (.+) \| (.+) \| (\d{4}-\d\d-\d\d) \|$",
        read("docs/decisions/README.md"),
        re.MULTILINE,
    )
    assert [name for _, name, *_ in rows] == sorted(page.name for page in (ROOT / "docs" / "decisions").glob("0*.md"))
    for number, name, title, status, date in rows:
        text = read(f"docs/decisions/{name}")
        assert text.startswith(f"# {number} {title}\n"), name
        assert re.findall(r"^\*\*Status\.\*\* (\w+), ([\d-]+)", text, re.MULTILINE) in ([], [(status, date)]), name


def service_calls(module: str, service: str) -> set[str]:
    """Return the calls of *service* in an adapter, in the form of IAM policies."""
    named = set(
        re.findall(
            r'"([A-Z]\w+)",\s*(?:(?:schedule\.)?name|arn|_NOBODY)\b', read(f"provider/ios_mdm/adapters/{module}.py")
        )
    )
    known = set(botocore.session.get_session().get_service_model(service).operation_names)
    return {f"{service}:{operation}" for operation in named & known}


def test_the_deployer_may_do_what_the_code_does() -> None:
    """The policies have exactly the calls of the adapters."""
    calls = (
        service_calls("secrets_manager", "secretsmanager")
        | service_calls("scheduler", "scheduler")
        | service_calls("prerequisites", "iam")
        | service_calls("prerequisites", "sqs")
    )
    assert {action.partition(":")[0] for action in calls} == {"secretsmanager", "scheduler", "iam", "sqs"}
    # IAM requires these two in addition to CreateSchedule and CreateRole. The omitted action removes a boundary.
    beside, left_out = {"iam:PassRole", "iam:TagRole"}, {"iam:DeleteRolePermissionsBoundary"}
    assert actions("deployer") | actions("deployer-roles") == (calls | beside) - left_out
    assert left_out < calls
    assert all(f"`{action}` is missing on purpose" in read("docs/permissions.md") for action in left_out)


def test_no_call_is_made_that_the_policies_do_not_know() -> None:
    """Each call in an adapter uses ``aws.answer``, with the name of the operation that ``called`` finds."""
    for module in ("secrets_manager", "scheduler", "prerequisites"):
        made = set(re.findall(r"self\._(?:client|iam|sqs)\.(\w+)[(,]", read(f"provider/ios_mdm/adapters/{module}.py")))
        services = ("iam", "sqs") if module == "prerequisites" else (module.replace("_", ""),)
        named = set().union(*(service_calls(module, service) for service in services))
        assert made == {botocore.xform_name(action.partition(":")[2]) for action in named}, module


def test_the_reads_of_what_a_definition_names_are_allowed() -> None:
    """The policy ``given`` has exactly the calls of the adapter."""  # R36
    assert actions("given") == service_calls("given", "iam") | service_calls("given", "sqs") | service_calls(
        "given", "sns"
    )


def test_roles_are_made_within_the_boundary_only() -> None:
    """The deployer can create roles only with the boundary, which limits their permissions."""
    within, other, _read = policy("deployer-roles")["Statement"]
    assert set(within["Condition"]["StringEquals"]) == {"iam:PermissionsBoundary"}
    assert {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"} <= set(within["Action"])
    assert not [action for action in other["Action"] if action.startswith(("iam:Put", "iam:Create", "iam:Attach"))]
    needed = {statement["Action"] for statement in policy("schedule")["Statement"]}
    assert needed == actions("boundary")


READS_OF_ROLES = {"iam:GetRole", "iam:GetRolePolicy"}


@pytest.mark.parametrize("name", [name for name in POLICIES if name.startswith(("deployer", "previewer"))])
def test_roles_outside_the_path_cannot_be_changed(name: str) -> None:
    """Roles outside of the path, such as that of a pipeline, can only be read."""
    for statement in policy(name)["Statement"]:
        named = statement["Resource"]
        roles = {one for one in ([named] if isinstance(named, str) else named) if ":role/" in one}
        if not roles:
            continue
        outside = {one for one in roles if not one.endswith(f":role{schedule.ROLE_PATH}*")}
        assert not outside or set(statement["Action"]) <= READS_OF_ROLES, statement


def test_the_previewer_reads_no_key_and_writes_nothing() -> None:
    """The role for previews of pull requests cannot read a key or change a pair (R29)."""
    assert actions("previewer") == {
        "iam:GetRole",
        "iam:GetRolePolicy",
        "scheduler:GetSchedule",
        "secretsmanager:DescribeSecret",
        "secretsmanager:ListSecretVersionIds",
        "sqs:GetQueueUrl",
    }


def test_the_role_of_the_schedules_is_as_shown() -> None:
    """The page has the documents that the provider writes to IAM."""  # R11
    name, secret = "berlin", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ios-mdm/berlin-AbCdEf"
    queue = f"arn:aws:sqs:eu-west-1:111122223333:{schedule.name_stem(name, f'ios-mdm/{name}')}-dead-letters"
    topic = "arn:aws:sns:eu-west-1:111122223333:alarms"
    assert policy("schedule-trust") == json.loads(schedule_role.role_trust(secret))
    assert policy("schedule") == json.loads(schedule_role.role_policy(secret, dead_letter=queue, alarm=topic))


def test_a_consumer_reads_main_alone() -> None:
    """A consumer cannot read the key of a reserve before the reserve is main."""  # R29
    (statement,) = policy("consumer")["Statement"]
    assert statement["Action"] == ["secretsmanager:GetSecretValue"]
    assert statement["Condition"] == {"StringEquals": {"secretsmanager:VersionStage": Label.MAIN}}


def test_only_scheduler_is_handed_a_role() -> None:
    """The deployer must not pass the role to other services."""
    passing = [one for one in policy("deployer")["Statement"] if "iam:PassRole" in one["Action"]]
    assert [one["Condition"] for one in passing] == [
        {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    ]


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_can_be_pasted(name: str) -> None:
    """Moto checks a policy's grammar as IAM does."""
    validator = IAMTrustPolicyDocumentValidator if name.endswith("-trust") else IAMPolicyDocumentValidator
    validator(json.dumps(policy(name))).validate()


def test_licenses_are_in_place() -> None:
    """The license of the project and that of Apple's schema are in the checkout."""
    assert "Apache License" in read("LICENSE")
    assert "Permission is hereby granted" in read("tests/fixtures/apple-schema/LICENSE.txt")
