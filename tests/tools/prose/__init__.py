"""Tests of the script that checks the wording."""
