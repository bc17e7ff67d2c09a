"""Where the tools lie that the bootstrap made ready, and the environment in which the engine runs."""

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
"""The virtualenv in which programs, providers, tests and checks run."""

MANIFEST = VENV / "ios-mdm-toolchain.json"
"""What the bootstrap found or built: a name and an absolute path for each. It goes when the virtualenv goes."""


class ToolchainMissingError(RuntimeError):
    """A tool that is needed is not ready; the message says what to run."""


def cache_dir() -> Path:
    """The directory outside the checkout for what is dear to make.

    ``$IOS_MDM_CACHE``, else ``$XDG_CACHE_HOME/ios-mdm``, else ``~/.cache/ios-mdm``.
    """
    if chosen := os.environ.get("IOS_MDM_CACHE"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG base directory specification: a relative path there is invalid and to be ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "ios-mdm"


def parsed_version(text: str) -> tuple[int, int, int]:
    """The first version number in *text*, as in ``v3.259.0``, ``go1.26.8`` or ``go1.27rc1``.

    Raises:
        ValueError: there is none.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ValueError(f"no version number in {text!r}")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """The executables that the tests and the demo start, as absolute paths."""

    pulumi: Path
    nanomdm: Path
    mdmb: Path
    scepserver: Path
    x509verify: Path
    ministack: Path
    python: Path

    @classmethod
    def load(cls, manifest: Path = MANIFEST) -> Toolchain:
        """The tools that the bootstrap wrote into *manifest*.

        Raises:
            ToolchainMissingError: it has not run, or what it made has been deleted since.
        """
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found = {}
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in found or not os.access(found[name], os.X_OK)]
        if missing:
            raise ToolchainMissingError(f"not ready: {', '.join(missing)}; run `make bootstrap`")
        return cls(**{name: Path(found[name]) for name in names})

    @staticmethod
    def nginx(manifest: Path = MANIFEST) -> Path:
        """The nginx of rehearsals, which not everything needs.

        Raises:
            ToolchainMissingError: it is not ready.
        """
        try:
            found = json.loads(manifest.read_text(encoding="utf-8")).get("nginx", "")
        except FileNotFoundError:
            found = ""
        if not os.access(found, os.X_OK):
            raise ToolchainMissingError("not ready: nginx; run `python3 tools/bootstrap.py --only nginx`")
        return Path(found)

    @staticmethod
    def verifier(command: str, manifest: Path = MANIFEST) -> Path | None:
        """Return the path of a command of GnuTLS or NSS; None if the bootstrap found none, or was not asked for it."""
        try:
            found = json.loads(manifest.read_text(encoding="utf-8")).get(command, "")
        except FileNotFoundError:
            return None
        return Path(found) if os.access(found, os.X_OK) else None

    def environment(self) -> dict[str, str]:
        """Variables to add to a process's environment so that it can start the engine.

        The language host and the dynamic providers are found beside the engine, the interpreter in the virtualenv.
        Where state is kept and how it is encrypted (PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE) is the caller's.
        """
        venv = self.python.parent
        return {
            "PATH": os.pathsep.join([str(self.pulumi.parent), str(venv), os.environ.get("PATH", os.defpath)]),
            "VIRTUAL_ENV": str(venv.parent),
            "PULUMI_HOME": str(cache_dir() / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # All that a program here needs is installed. A slip should be an error, not a download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        }
