"""The permitted imports between the layers of the package, and the modules that each process loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "provider"

LAYERS = {
    "errors": set(),
    "address": set(),
    "parallel": set(),
    "files": {"errors"},
    "core": {"errors", "address"},
    "public_roots": {"core"},
    "ports": {"core"},
    "adapters": {"core", "ports", "errors", "address", "parallel", "files"},
    "settings.fields": {"core", "errors", "address"},
    "settings.channels": {"adapters", "settings.fields", "core", "ports", "errors", "address", "files"},
    "settings": {"settings.channels", "settings.fields", "core", "errors", "address"},
    "configuration": {"settings", "settings.fields", "errors", "files"},
    "app": {
        "core",
        "public_roots",
        "ports",
        "settings",
        "settings.channels",
        "errors",
        "address",
        "parallel",
        "files",
    },
    "wiring": {"adapters", "app", "settings", "settings.channels", "core", "ports", "errors", "address"},
    "cli": {
        "public_roots",
        "wiring",
        "app",
        "configuration",
        "settings",
        "settings.fields",
        "core",
        "ports",
        "errors",
        "address",
        "files",
    },
    "resources": {"wiring", "app", "settings", "settings.channels", "core", "ports", "errors", "address"},
    "__main__": {"cli"},
    "components": {"resources", "configuration", "settings", "settings.channels", "core", "errors"},
}
"""The layers that each layer may import in addition to itself. They precede it, so that there is no cycle."""

INNER = {
    "ios_mdm.settings.fields": "settings.fields",
    "ios_mdm.settings.problems": "settings.fields",
    "ios_mdm.settings.channels": "settings.channels",
}
"""Modules and folders that are layers within a folder. A channel has its settings and its connection in one module."""

LATE = (
    "wiring",
    "core.rules.proof",
    "public_roots",
    "cli.checklist",
    "cli.commands",
    "cli.validate",
    "adapters",
    "address",
    "app.confirm",
    "configuration",
    "settings.channels",
)
"""Modules with imports inside functions; pyproject.toml gives the reason for each."""


class Import(NamedTuple):
    """One imported module, and whether the import is inside a function."""

    module: str
    late: bool


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package and of the components by its full name."""
    found = {}
    for base, top in ((SOURCE, SOURCE / "ios_mdm"), (ROOT, ROOT / "components")):
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> tuple[Import, ...]:
    """Return all imports of a module; for `from package import module`, the submodule."""
    path = modules()[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    late = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, id(node) in late) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, f"{module} imports from above its own package"
            base = f"{package}.{node.module}".rstrip(".") if node.level else str(node.module)
            names = [f"{base}.{alias.name}" for alias in node.names]
            found += [Import(name if name in modules() else base, id(node) in late) for name in names]
    return tuple(dict.fromkeys(found))


def layer(module: str) -> str:
    """Return the layer of a module of the project: its folder, or its name if it is at the top level."""
    inner = next((name for start, name in INNER.items() if module == start or module.startswith(f"{start}.")), None)
    if inner is not None:
        return inner
    parts = module.split(".")
    return parts[1] if parts[0] == "ios_mdm" and len(parts) > 1 else parts[0]


def project_imports(module: str) -> list[str]:
    """Return the modules of the project that a module imports, except the root package."""
    return [one.module for one in imports(module) if one.module in modules() and one.module != "ios_mdm"]


def test_the_layers_are_in_order() -> None:
    """Each layer may import only preceding layers, and every module has a layer."""
    seen: set[str] = set()
    for name, allowed in LAYERS.items():
        assert allowed <= seen, name
        seen.add(name)
    assert {layer(module) for module in modules()} - {"ios_mdm"} == seen


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_imports_only_what_is_below_it(name: str) -> None:
    """A folder imports itself and the folders in LAYERS only; imports for types count."""
    upwards = {
        f"{module} imports {one}"
        for module in modules()
        if layer(module) == name
        for one in project_imports(module)
        if layer(one) not in {name, *LAYERS[name]}
    }
    assert upwards == set()


def test_the_import_graph_has_no_cycle() -> None:
    """No chain of imports leads back to its module, including imports for types and in functions."""
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " imports ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for one in project_imports(module):
            visit(one, (*way, module))
        done.add(module)

    for module in modules():
        visit(module, ())


def test_the_core_is_pure() -> None:
    """The core imports cryptography and the standard library without modules for files, processes and networks.

    Handshakes need pyOpenSSL and `ssl`. They pass their bytes through memory, and have no socket and no file.
    """
    outside = {"os", "pathlib", "io", "socket", "ssl", "subprocess", "time", "urllib", "http", "sqlite3", "logging"}
    allowed = (sys.stdlib_module_names | {"cryptography", "ios_mdm"}) - outside
    beyond = {
        (module, one.module)
        for module in modules()
        if layer(module) == "core"
        for one in imports(module)
        if one.module.partition(".")[0] not in allowed
    }
    handshakes, contexts = "ios_mdm.core.x509.handshakes", "ios_mdm.core.x509.openssl_contexts"
    allowed_beyond = {
        (handshakes, "ssl"),
        *((module, name) for module in (handshakes, contexts) for name in ("OpenSSL", "OpenSSL.SSL")),
    }
    assert beyond <= allowed_beyond
    assert {module for module, _ in beyond} == {handshakes, contexts}


@pytest.mark.parametrize(
    ("library", "layers"),
    [
        ("pulumi", {"resources", "components"}),
        ("boto3", set()),
        ("botocore", {"adapters"}),
        ("httpx", {"adapters"}),
        ("prometheus_client", {"cli"}),
        ("tornado", {"adapters"}),
    ],
)
def test_a_library_belongs_to_its_layer(library: str, layers: set[str]) -> None:
    """Only resources and components import Pulumi, only adapters import service clients, and no layer imports boto3."""
    users = {
        layer(module) for module in modules() for one in imports(module) if one.module.partition(".")[0] == library
    }
    assert users == layers


def test_imports_stand_at_the_top_of_a_module() -> None:
    """The exceptions are the modules in LATE, which need no comment for each import."""
    late = {
        f"{module} imports {one.module}"
        for module in modules()
        for one in imports(module)
        if one.late and not module.removeprefix("ios_mdm.").startswith(LATE)
    }
    assert late == set()
    for path in modules().values():
        assert "PLC0415" not in path.read_text(encoding="utf-8"), path


def test_only_entry_points_read_the_environment() -> None:
    """Only cli, resources and wiring read `os.environ` and the working directory, and pass them to other layers."""
    assert users({"environ", "getenv", "getcwd", "cwd", "home"}, of={"os", "Path", "pathlib"}) <= {
        "cli",
        "resources",
        "wiring",
    }


def test_the_core_reads_no_clock_and_opens_no_file() -> None:
    """Times and contents of files are arguments of the core."""
    assert "core" not in users({"now", "today", "utcnow"}, of={"datetime", "date"})
    assert not [module for module in modules() if layer(module) == "core" and "open(" in calls(module)]


def calls(module: str) -> set[str]:
    """Return the functions that a module calls by a plain name, each with an opening parenthesis."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return {
        f"{node.func.id}(" for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def users(names: set[str], of: set[str]) -> set[str]:
    """Return the layers that use one of these attributes of an object, or import it from a module."""
    found = set()
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in names:
                used = ast.unparse(node.value).rpartition(".")[2] in of
            elif isinstance(node, ast.ImportFrom):
                used = node.module in of and any(alias.name in names for alias in node.names)
            elif isinstance(node, ast.Import):
                used = any(alias.name in of and alias.asname is not None for alias in node.names)
            else:
                used = False
            if used:
                found.add(layer(module))
    return found


HEAVY = (
    "boto3",
    "botocore",
    "click",
    "cryptography",
    "httpx",
    "prometheus_client",
    "pulumi",
    "rich",
    "tenacity",
    "tornado",
)


def loaded_modules(statement: str) -> list[str]:
    """Return the heavy packages and the modules of the project that a new interpreter has loaded after a statement."""
    code = (
        f"import sys; {statement}\n"
        f"print(*(name for name in sys.modules if name in {HEAVY!r} or name.startswith('ios_mdm.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_program_loads_no_more_than_it_registers() -> None:
    """The process of the program loads resources and settings, but no hooks, use cases or AWS client."""
    allowed = tuple(
        f"ios_mdm.{name}" for name in ("resources", "configuration", "settings", "core", "errors", "address")
    )
    found = [name for name in loaded_modules("import components") if name != "pulumi"]
    assert "ios_mdm.settings.engine_yaml" not in found, "only a folder of servers is read here"
    assert "ios_mdm.resources.certificate_pair" in found
    assert [name for name in found if not name.startswith(allowed)] == []
    assert [name for name in found if name.endswith("_hooks")] == []


@pytest.mark.parametrize(
    "statement",
    [
        "import ios_mdm.resources.pair_hooks",
        "from ios_mdm import wiring; wiring.process_wiring().pairs('eu-west-1')",
        "import ios_mdm.settings",
    ],
)
def test_a_run_that_finds_nothing_to_do_loads_only_what_it_needs(statement: str) -> None:
    """Observing a pair and its schedules loads no cryptography, which saves 0.12 s of CPU, and nothing for retries."""
    assert not {"cryptography", "tenacity", "tornado"} & set(loaded_modules(statement))


@pytest.mark.parametrize("command", ["consume", "forecast", "profile", "receive", "status", "validate"])
def test_no_command_loads_pulumi(command: str) -> None:
    """A command starts without Pulumi's SDK, which takes 0.4 s of CPU, and without the library for metrics."""
    found = loaded_modules(f"import ios_mdm.cli.{command}")
    assert f"ios_mdm.cli.{command}" in found
    assert not {"pulumi", "prometheus_client"} & set(found)
    assert [name for name in found if name.startswith("ios_mdm.resources")] == []


def test_the_program_imports_only_what_is_measured_here() -> None:
    """`__main__.py` imports Pulumi and the components, which the test above covers."""
    path = ROOT / "__main__.py"
    names = {
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([str(node.module)] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert names <= {"asyncio", "gc", "sys", "pulumi", "components"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30


def test_test_modules_share_only_what_is_in_support() -> None:
    """No module of tests is imported by others but those of tests/support, and helpers within their own folder."""
    wrong = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        folder = path.relative_to(ROOT / "tests").parts[0]
        for module in imported_names(path):
            parts = module.split(".")
            if parts[0] != "tests" or parts[1:2] == ["support"]:
                continue
            is_helper = parts[1:2] == [folder] and not any(
                one.startswith("test_") or one == "conftest" for one in parts
            )
            if not is_helper:
                wrong.add(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == set()


def imported_names(path: Path) -> set[str]:
    """Return the full names that a file imports; of `from a import b`, ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found
