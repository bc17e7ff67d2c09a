"""Tests with the real engine."""
