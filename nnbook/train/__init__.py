"""Training, one file a method; every trainer returns a :class:`~nnbook.train.first_order.Fit`."""

from nnbook.train.first_order import Fit, fit

__all__ = ["Fit", "fit"]
