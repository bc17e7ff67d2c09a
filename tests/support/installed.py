"""The built wheel, installed into a virtualenv."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The wheel, and the folder of a program whose virtualenv has it installed.

    Args:
        wheel: path of the wheel.
        folder: folder of the program.
        environment: variables without those of the checkout's virtualenv.
    """

    wheel: Path
    folder: Path
    environment: dict[str, str]

    @property
    def venv(self) -> Path:
        """The virtualenv that the wheel is installed in."""
        return self.folder / ".venv"

    @property
    def packages(self) -> Path:
        """The site-packages of this virtualenv."""
        return self.venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder of the program."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
