"""Timeline of `forecast --svg`."""
