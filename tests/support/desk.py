"""A reader of the bundles that a definition names, with secrets and files of a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.app.bundles import BundleReader, Circumstances
from ios_mdm.core.pair.secret import SecretDescription
from ios_mdm.settings import InstallReserveSettings
from tests.support.custom_files import BY, START, Leaf
from tests.support.sealed import READER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(slots=True)
class Vault:
    """Stores secrets by name."""

    values: dict[str, bytes] = field(default_factory=dict)

    def describe(self, name: str) -> SecretDescription | None:
        """Return a secret without tags, with its name as its ARN."""
        return SecretDescription(arn=name, tags={}, labels={}) if name in self.values else None

    def current_bytes(self, name: str) -> bytes | None:
        """Return the value of a secret."""
        return self.values.get(name)


@dataclass(slots=True)
class Desk:
    """A folder with bundles, and secrets and variables."""

    folder: Path
    vault: Vault = field(default_factory=Vault)
    environ: Mapping[str, str] = field(default_factory=dict)

    def read(self, by: Circumstances = BY, **install: Any) -> Any:
        """Read the certificate of this definition."""
        reader = BundleReader(base=self.folder, environ=self.environ, sealed=READER, secrets=self.vault)
        return reader.read(InstallReserveSettings.model_validate(install), by)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty desk."""
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def leaf() -> Leaf:
    """Return a certificate that follows the rules."""
    return Leaf(START, 397)
