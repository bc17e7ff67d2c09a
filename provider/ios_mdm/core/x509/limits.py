"""Limits of Apple's systems for the certificate of a TLS server (Apple 103769)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["BOUND_SINCE", "MAX_VALIDITY", "MIN_RSA_BITS"]

MIN_RSA_BITS = 2048
"""Minimum size of an RSA key, also of the keys of issuers."""
MAX_VALIDITY = timedelta(days=825)
"""Maximum validity, whichever root the certificate is under. The limit of 398 days is for public roots only."""
BOUND_SINCE = datetime(2019, 7, 1, tzinfo=UTC)
"""The maximum applies to certificates that are valid from this time or later."""
