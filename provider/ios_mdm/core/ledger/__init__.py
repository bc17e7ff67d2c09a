"""Data model of the ledger, and its rules: what counts, in which enrollment, and whether a device has a profile."""
