"""Ledgers, one module per database."""
