"""The examples: linted, and run as their pipelines would run them."""
