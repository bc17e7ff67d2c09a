"""A stand-in for Pulumi's Python language host, for engines that the bootstrap builds from Go modules."""
