"""An exhaustive search of a small model of the switch, which uses the decisions of the provider."""
