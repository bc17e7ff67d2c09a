"""Certificates: reads them, issues them, and builds chains."""

from ios_mdm.core.library_warnings import ignore_library_warnings

ignore_library_warnings()
