"""Opens PFX files and encrypted keys with the library, in a child process with limits."""

from ios_mdm.adapters.sealed_reader.limits import Limits
from ios_mdm.adapters.sealed_reader.reader import ChildReader, shared_reader

__all__ = ["ChildReader", "Limits", "shared_reader"]
