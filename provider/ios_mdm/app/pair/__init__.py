"""Bringing one pair to what its definition asks for."""
