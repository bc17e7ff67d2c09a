"""Bundles that are damaged on purpose, and what makes bundles for these and other tests."""
