"""Types of the public API. mypy checks these modules in `make lint`; they are never run."""
