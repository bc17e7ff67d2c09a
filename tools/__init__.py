"""Tools of a checkout: the bootstrap, the engine, the local services, the demo and the rehearsal."""
