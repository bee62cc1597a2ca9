"""Training, one file a method under one loop; every method returns a :class:`~nnbook.train.loop.Fit`."""

from nnbook.train.first_order import fit
from nnbook.train.loop import Fit

__all__ = ["Fit", "fit"]
