"""The report about the next switch: whether every device can connect after it."""
