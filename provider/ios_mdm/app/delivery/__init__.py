"""Delivers the profile of a pair to devices, and records which devices were sent it."""
