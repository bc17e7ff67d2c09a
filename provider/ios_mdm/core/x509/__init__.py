"""Certificates: reads them, issues them, and builds chains."""

from ios_mdm.core.x509.library_warnings import ignore_library_warnings

ignore_library_warnings()
