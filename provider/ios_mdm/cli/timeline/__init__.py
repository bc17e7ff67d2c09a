"""The timeline that `forecast --svg` draws."""
