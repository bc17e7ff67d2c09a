"""Paths of the tools that the bootstrap found or built, and the environment of the engine."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["ROOT", "Toolchain", "ToolchainMissingError", "cache_dir", "parsed_version"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

VENV = ROOT / ".venv"
"""Virtualenv of the program, the provider, the tests and the checks."""

MANIFEST = VENV / "ios-mdm-toolchain.json"
"""JSON with the absolute path of each tool that the bootstrap found or built. Part of the virtualenv."""


class ToolchainMissingError(RuntimeError):
    """A tool is missing. The message names the command that provides it."""


def cache_dir() -> Path:
    """Return the directory outside the checkout for builds and downloads.

    ``$IOS_MDM_CACHE``, else ``$XDG_CACHE_HOME/ios-mdm``, else ``~/.cache/ios-mdm``.
    """
    if chosen := os.environ.get("IOS_MDM_CACHE"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    # By the XDG base directory specification, a relative path is invalid and is ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "ios-mdm"


def parsed_version(text: str) -> tuple[int, int, int]:
    """Return the first version number in *text*, such as ``v3.259.0``, ``go1.26.8`` or ``go1.27rc1``.

    Raises:
        ValueError: *text* has no version number.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ValueError(f"no version number in {text!r}")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """Absolute paths of the executables for the tests and the demo."""

    pulumi: Path
    nanomdm: Path
    mdmb: Path
    scepserver: Path
    x509verify: Path
    ministack: Path
    python: Path

    @classmethod
    def load(cls, manifest: Path = MANIFEST) -> Toolchain:
        """Read the tools in *manifest*, which the bootstrap writes.

        Raises:
            ToolchainMissingError: The bootstrap has not run, or a tool was deleted.
        """
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found = {}
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in found or not os.access(found[name], os.X_OK)]
        if missing:
            raise ToolchainMissingError(f"missing tools: {', '.join(missing)}. Run `make bootstrap`")
        return cls(**{name: Path(found[name]) for name in names})

    @staticmethod
    def nginx(manifest: Path = MANIFEST) -> Path:
        """Return the path of nginx, which only rehearsals and some tests need.

        Raises:
            ToolchainMissingError: nginx is missing.
        """
        try:
            found = json.loads(manifest.read_text(encoding="utf-8")).get("nginx", "")
        except FileNotFoundError:
            found = ""
        if not os.access(found, os.X_OK):
            raise ToolchainMissingError("nginx is missing: run `python3 tools/bootstrap.py --only nginx`")
        return Path(found)

    @staticmethod
    def chromium(manifest: Path = MANIFEST) -> Path | None:
        """Return the path of Chromium, or None if the manifest has none."""
        return Toolchain.verifier("chromium", manifest)

    @staticmethod
    def verifier(command: str, manifest: Path = MANIFEST) -> Path | None:
        """Return the path of an optional command, such as certtool or promtool, or None if the manifest has none."""
        try:
            found = json.loads(manifest.read_text(encoding="utf-8")).get(command, "")
        except FileNotFoundError:
            return None
        return Path(found) if os.access(found, os.X_OK) else None

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a process needs to start the engine.

        The engine finds the language host and the dynamic provider in its own directory, and the interpreter in the
        virtualenv. Callers set PULUMI_BACKEND_URL and PULUMI_CONFIG_PASSPHRASE.
        """
        venv = self.python.parent
        return {
            "PATH": os.pathsep.join([str(self.pulumi.parent), str(venv), os.environ.get("PATH", os.defpath)]),
            "VIRTUAL_ENV": str(venv.parent),
            "PULUMI_HOME": str(cache_dir() / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # All plugins are installed. A missing plugin must be an error, not a download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        }
