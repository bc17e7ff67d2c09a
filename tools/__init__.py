"""What a checkout needs around the provider: the engine, the local services and the demo that uses them."""
