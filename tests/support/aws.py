"""AWS as the tests reach it: through the environment of the test's own process."""

from __future__ import annotations

import os

from ios_mdm.adapters.aws import Aws

__all__ = ["AWS"]

AWS = Aws(environ=os.environ)
"""Follows ``monkeypatch.setenv``: the variables are read at each call."""
