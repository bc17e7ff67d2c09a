"""Tests of `cli.page`."""
