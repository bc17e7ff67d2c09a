"""Use cases: operations on pairs, profiles and files. No module here imports an adapter."""
