"""One pair: its definition, what was observed of it, and what it should be."""
