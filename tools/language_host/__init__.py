"""A stand-in for Pulumi's Python language host, for machines where the engine had to be built from Go modules."""
