"""Tests of the Pulumi resources and their hooks."""
