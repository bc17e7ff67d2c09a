"""Tests of the alert rules and the dashboard in examples/monitoring."""
