r"""What the chapter *Building interactions with autoregressive networks* reads.

A network that knows the probability of a configuration knows a Hamiltonian too, up to a constant:
:math:`H_\theta(x) = -T \ln p_\theta(x)` is :math:`H - F` where :math:`p_\theta` is that of Boltzmann.
It is learnt from samples (:func:`~nnbook.fields.learning.fit_likelihood`)
or from the energy (:func:`~nnbook.fields.learning.fit_free_energy`).
"""

from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Ising, symmetries
from nnbook.fields.learning import Hamiltonian, fit_free_energy, fit_likelihood, log_prob, weigh
from nnbook.fields.made import MADE, frontier
from nnbook.sample.clusters import cluster_sweep
from nnbook.sample.estimates import autocorrelation
from nnbook.sample.importance import Importance, independence_metropolis
from nnbook.train.log_weights import fit_log_weights

__all__ = ["BETA_C", "Ising", "IsingRows", "configurations", "symmetries", "torus"]
__all__ += [
    "MADE",
    "Hamiltonian",
    "fit_free_energy",
    "fit_likelihood",
    "fit_log_weights",
    "frontier",
    "log_prob",
]
__all__ += ["Importance", "autocorrelation", "cluster_sweep", "independence_metropolis", "weigh"]
