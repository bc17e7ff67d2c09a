"""An exhaustive search of a small model of the switch, played by the real decisions."""
