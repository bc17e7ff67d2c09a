"""An exhaustive search of the operations on stacks, which calls the real hooks of both resources."""
