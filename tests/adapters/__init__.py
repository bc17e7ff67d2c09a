"""Adapters, tested against what they adapt: real processes wherever there are any."""
