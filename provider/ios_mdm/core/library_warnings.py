"""Keeps the warnings of cryptography about unusual certificates off stderr.

The rules check the certificates, and :mod:`ios_mdm.core.x509.oddities` writes the notices. The filter is set once, when
a package that reads certificates is imported, because ``warnings.catch_warnings`` is not safe with threads.
"""

from __future__ import annotations

import warnings

__all__ = ["ignore_library_warnings"]

_STARTS = (
    r"Parsed a serial number which wasn't positive",
    r"Attribute's length must be >= ",
    r"Invalid ASN\.1 \(UTF-8 characters in a VisibleString\)",
    r"Diffie-Hellman over finite fields \(FFDH\) is deprecated",
)
"""Regular expressions for the start of each warning."""


def ignore_library_warnings() -> None:
    """Add the filters of these warnings."""
    for start in _STARTS:
        # The categories of cryptography are subclasses of UserWarning or DeprecationWarning.
        warnings.filterwarnings("ignore", message=start)
