"""Particles in continuous space: their Hamiltonians, wave functions and local energies."""
