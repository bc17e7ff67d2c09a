# ruff: noqa: INP001 - it has the name of the package that it hides, in a folder that is put on the import path
"""Hides pyOpenSSL, which the tests need. An installation does not have it, and botocore imports it where it is."""

raise ImportError("hidden from what is measured")
