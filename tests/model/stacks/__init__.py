"""An exhaustive search of the operations on stacks, carried out by the real hooks of both resources."""
