"""The types of the public API. mypy checks these modules as part of `make lint`; nothing runs them."""
