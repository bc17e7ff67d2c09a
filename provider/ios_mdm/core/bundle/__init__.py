"""Reads a custom certificate from a PEM, PFX or P12 file, or reports why the file cannot be read (R18)."""

from ios_mdm.core.bundle.model import Bundle, BundleError
from ios_mdm.core.bundle.read import MAX_BUNDLE_BYTES, read_bundle
from ios_mdm.core.bundle.sealed import Opened, Refusal, SealedKind, SealedReader

__all__ = [
    "MAX_BUNDLE_BYTES",
    "Bundle",
    "BundleError",
    "Opened",
    "Refusal",
    "SealedKind",
    "SealedReader",
    "read_bundle",
]
