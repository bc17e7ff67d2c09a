# ruff: noqa: INP001 - a module with the name of a package, in a folder on the import path
"""Hides pyOpenSSL, which only tests need. botocore imports it if it is installed, which distorts the measurement."""

raise ImportError("pyOpenSSL is hidden from the measured processes")
