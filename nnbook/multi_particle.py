r"""Two and three particles: what the chapter reads from the room ``nnbook.particles``."""

from __future__ import annotations

from nnbook.exact.lines import separated
from nnbook.particles.grid import Grid, Spectrum
from nnbook.particles.hamiltonian import Hamiltonian, trapped
from nnbook.particles.sectors import Particles, Sector
from nnbook.particles.solve import solve
from nnbook.particles.states import State, ritz
from nnbook.particles.waves import Symmetrised, WaveFunction

__all__ = [
    "Grid",
    "Hamiltonian",
    "Particles",
    "Sector",
    "Spectrum",
    "State",
    "Symmetrised",
    "WaveFunction",
    "ritz",
    "separated",
    "solve",
    "trapped",
]
