"""One pair: its definition, its observed state and its desired state."""
