"""Mutual information: closed forms, symmetry, data processing, all rules of a small table."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnbook.fields.information import gaussian_information, mutual_information, rule_information


def table(seed, *shape):
    return np.random.default_rng(seed).random(shape) ** 3


def test_closed_forms():
    assert mutual_information(np.ones((3, 5))) == pytest.approx(0.0, abs=1e-14)
    assert mutual_information(np.eye(4)) == pytest.approx(math.log(4))


@given(st.integers(0, 1000))
def test_every_rule_loses_and_none_is_forgotten(seed):
    joint = table(seed, 5, 6)
    found = rule_information(joint)
    assert len(found) == 15
    for number in (1, 6, 15):
        one = np.array([(number >> k) & 1 for k in range(5)], bool)
        by_hand = mutual_information(np.stack([joint[one].sum(0), joint[~one].sum(0)]))
        assert found[number - 1] == pytest.approx(by_hand, abs=1e-12)
    assert found.max() <= mutual_information(joint) + 1e-12


def test_gaussian_information_is_that_of_the_correlation():
    c = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    assert gaussian_information(c, [0], [1]) == pytest.approx(-0.5 * math.log(1 - 0.81 / 2))
    block = torch.block_diag(c, c)
    assert gaussian_information(block, [0, 1], [2, 3]) == pytest.approx(0.0, abs=1e-14)
    with pytest.raises(ValueError, match="different numbers"):
        gaussian_information(c, [0], [0])
    with pytest.raises(ValueError, match="no covariance"):
        gaussian_information(-c, [0], [1])


@pytest.mark.parametrize("joint", [np.zeros((2, 2)), -np.ones((2, 2))], ids=["zeros", "negative"])
def test_no_probability(joint):
    with pytest.raises(ValueError, match="no probability"):
        mutual_information(joint)
