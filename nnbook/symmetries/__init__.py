r"""What the chapter *Symmetries inside neural networks* reads.

A symmetry moves the weights of a network and leaves its function.
A :class:`~nnbook.symmetries.moves.Symmetry` is one such move, of the flat vector of parameters of a module.
Near the identity the moves of a family are tangent vectors, the gauge directions. What a gradient flow
conserves follows from those that are themselves gradients (:func:`~nnbook.symmetries.counting.charges`);
whether there is more, the Lie algebra of the flow says (:func:`~nnbook.symmetries.counting.reached`).
"""

from nnbook.dynamics.integrators import integrate, rk4
from nnbook.networks import MLP, as_function, flatten, jacobian
from nnbook.symmetries.counting import Rank, charges, gauge_directions, rank, reached, symmetries
from nnbook.symmetries.frames import Frame, TimeChange
from nnbook.symmetries.geodesics import geodesic, ricci
from nnbook.symmetries.moves import HeadMixing, Permutation, Rescaling, Scaling, UnitMixing, ValueMixing
from nnbook.symmetries.networks import Attention, LinearODE
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.inverse import invert
from nnbook.train.linear_method import minimise

__all__ = ["Attention", "Frame", "HeadMixing", "LinearODE", "Permutation", "Rank", "Rescaling", "Scaling"]
__all__ += ["TimeChange", "UnitMixing", "ValueMixing", "charges", "gauge_directions", "geodesic", "rank"]
__all__ += ["reached", "ricci", "rk4", "symmetries"]
__all__ += ["MLP", "ConvexLoss", "as_function", "flatten", "integrate", "invert", "jacobian", "minimise"]
