"""Reads a custom certificate: a PEM, PFX or P12 file, whoever wrote it and whatever is wrong with it (R18)."""

from ios_mdm.core.bundle.model import Bundle, BundleError
from ios_mdm.core.bundle.read import MOST_BYTES, read_bundle

__all__ = ["MOST_BYTES", "Bundle", "BundleError", "read_bundle"]
