"""Tests of the examples: their structure, and runs of their shell lines."""
