r"""What two regions of a field know of each other: mutual information of spins and of Gaussian fields.

.. math:: I(A : B) = S(A) + S(B) - S(AB), \qquad S = -\sum_s p_s \ln p_s

in nats. Coarse-graining a region can only lose some of it :cite:p:`kochjanusz2018`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnbook.arrays import check_counts, check_values

Array = NDArray[np.float64]


def mutual_information(joint: Array) -> float:
    r"""I, in nats, of a table of probabilities ``(states of A, states of B)``; it is normalised first.

    Raises:
        ValueError: a table that is negative somewhere, or zero everywhere.

    >>> round(mutual_information(np.eye(2)), 6)
    0.693147
    """
    check_values("joint", joint, ("states of A", "states of B"))
    if not (joint.size and bool((joint >= 0).all()) and 0 < joint.sum() < np.inf):
        raise ValueError("joint: got a table that is no probability, expected none below zero, one above")
    joint = joint / joint.sum()
    independent = joint.sum(1)[:, None] * joint.sum(0)
    there = (joint > 0) & (independent > 0)
    return max(0.0, float((joint[there] * np.log(joint[there] / independent[there])).sum()))


def rule_information(joint: Array) -> Array:
    r"""I between a coarse bit and B, of **every** rule that makes the bit of a state of A.

    Rule number r gives the bit 1 to the state k of A where bit k of r is one, and 0 to the last state, as r
    and its complement are the same rule: r from 1 to :math:`2^{n - 1} - 1`.

    Args:
        joint: table ``(states of A, states of B)``, at most 16 states of A.

    Returns:
        ``(2**(n - 1) - 1,)``, the rule 1 first.

    Raises:
        ValueError: fewer than 2 or more than 16 states of A, a table that is no probability.
    """
    check_values("joint", joint, ("states of A", "states of B"))
    n = len(joint)
    if not 2 <= n <= 16:
        raise ValueError(f"joint: got {n} states of A, expected 2 to 16, which make 32,767 rules")
    mutual_information(joint)
    joint = joint / joint.sum()
    rules = np.arange(1, 2 ** (n - 1))
    ones = ((rules[:, None] >> np.arange(n)) & 1).astype(float)
    total = joint.sum(0)
    information = np.zeros(len(rules))
    for part in np.array_split(np.arange(len(rules)), max(1, len(rules) * joint.shape[1] // 2**22)):
        one = ones[part] @ joint
        rest = np.maximum(total - one, 0.0)
        size = one.sum(1)
        information[part] = (_plogp(one) + _plogp(rest)).sum(1) - _plogp(size) - _plogp(1 - size)
    gained: Array = np.maximum(information - _plogp(total).sum(), 0.0)
    return gained


def _plogp(p: Array) -> Array:
    terms: Array = p * np.log(np.where(p > 0, p, 1.0))
    return terms


def gaussian_information(covariance: Tensor, first: list[int], second: list[int]) -> float:
    r"""I between two sets of variables of a Gaussian field, in nats.

    .. math:: I = \tfrac12 \ln\frac{\det C_{AA} \det C_{BB}}{\det C_{AB, AB}}

    Args:
        covariance: C, ``(variables, variables)``.
        first, second: the variables of A and of B, all different.

    Raises:
        ValueError: no covariance, a variable that is not there or twice.

    >>> C = torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    >>> round(gaussian_information(C, [0], [1]), 6)  # -ln(1 - 0.36) / 2
    0.223144
    """
    check_values("covariance", covariance, (len(covariance), len(covariance)))
    both = [*first, *second]
    check_counts(first=len(first), second=len(second))
    if len(set(both)) < len(both) or not all(k in range(len(covariance)) for k in both):
        raise ValueError(
            f"first, second: got {first} and {second}, expected different numbers from 0 to "
            f"{len(covariance) - 1}"
        )
    parts = [_log_det(covariance.double()[which][:, which]) for which in (first, second, both)]
    return max(0.0, 0.5 * (parts[0] + parts[1] - parts[2]))


def _log_det(block: Tensor) -> float:
    factor, failed = torch.linalg.cholesky_ex(0.5 * (block + block.mT))
    if int(failed):
        raise ValueError("covariance: got a matrix that is no covariance, expected a positive one")
    return 2 * float(factor.diagonal().log().sum())
