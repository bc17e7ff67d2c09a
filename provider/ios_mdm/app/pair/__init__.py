"""Brings one pair to the state that its definition requests."""
