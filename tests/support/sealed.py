"""The reader of encrypted files that all tests of a process share."""

from __future__ import annotations

from ios_mdm.adapters.sealed_reader import shared_reader

__all__ = ["READER"]

READER = shared_reader(None)
"""Its child process starts with the first encrypted file."""
