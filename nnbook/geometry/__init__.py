"""Networks as polyhedra, surfaces and bodies."""
