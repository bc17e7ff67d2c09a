"""Certificates: reading them, issuing them, and putting chains together."""
