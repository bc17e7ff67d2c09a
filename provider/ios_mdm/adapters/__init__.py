"""How the ports meet the world: one module per backend."""
