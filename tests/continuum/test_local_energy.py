"""The local energy: slow ways agree, and a Gaussian is an eigenstate of its own oscillator."""

import pytest
import torch

from nnbook.continuum.local_energy import double_backward, finite_differences, kinetic


def gaussian(x):
    return -0.5 * 1.3 * x.square().flatten(1).sum(1) + torch.linalg.slogdet(x)[1]


def points():
    return torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_finite_differences_agree_with_reverse_mode_through_a_determinant():
    x = points()
    x = x[torch.linalg.det(x).abs() > 0.3]
    for ours, theirs in zip(finite_differences(gaussian, x), double_backward(gaussian, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_kinetic_energy_of_a_gaussian():
    x = points()
    jet = double_backward(lambda y: -0.5 * y.square().flatten(1).sum(1), x)
    torch.testing.assert_close(kinetic(jet), 4.5 - 0.5 * x.square().flatten(1).sum(1))


def test_no_width_no_difference():
    with pytest.raises(ValueError, match="h: got 0"):
        finite_differences(gaussian, points(), 0.0)
