"""Reads a custom certificate from a PEM, PFX or P12 file, or reports why the file cannot be read (R18)."""

from ios_mdm.core.bundle.certificates import CertificateFile, read_certificates
from ios_mdm.core.bundle.form import MAX_BUNDLE_BYTES
from ios_mdm.core.bundle.model import Bundle, BundleError
from ios_mdm.core.bundle.read import read_bundle
from ios_mdm.core.bundle.sealed import Opened, Refusal, SealedKind, SealedReader
from ios_mdm.core.library_warnings import ignore_library_warnings

ignore_library_warnings()

__all__ = [
    "MAX_BUNDLE_BYTES",
    "Bundle",
    "BundleError",
    "CertificateFile",
    "Opened",
    "Refusal",
    "SealedKind",
    "SealedReader",
    "read_bundle",
    "read_certificates",
]
