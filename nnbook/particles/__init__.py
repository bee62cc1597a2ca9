"""A few quantum particles on a lattice."""
