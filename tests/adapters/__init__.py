"""Tests of the adapters, with real processes or emulators where these exist."""
