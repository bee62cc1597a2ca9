"""The energy as a problem: states of any scale, orthogonal to those below, and what is refused."""

import pytest
import torch

from nnbook.train.problems import RayleighQuotient

X = torch.linspace(-4, 4, 33, dtype=torch.float64)
WEIGHTS = torch.full_like(X, 0.25)


def harmonic(f):
    padded = torch.nn.functional.pad(f, (0, 0, 1, 1))
    return (2 * f - padded[2:] - padded[:-2]) / (2 * 0.25**2) + X[:, None] ** 2 / 2 * f


def matrix():
    return harmonic(torch.eye(len(X), dtype=torch.float64))


def levels(count=3):
    """Energies, and columns that are orthonormal with the weights."""
    energies, psi = torch.linalg.eigh(matrix())
    return energies[:count], psi[:, :count] / 0.25**0.5


def problem(below=None, weights=WEIGHTS):
    return RayleighQuotient(X[:, None], harmonic, weights, below)


@pytest.mark.parametrize("size", [1.0, 1e-250, 1e250])
def test_a_small_part_of_a_tiny_wave_function_is_still_the_next_level(size):
    """The projection comes after the scaling, and twice: else what is left is rounding, below its level."""
    energies, psi = levels()

    def function(params, x):
        low, middle, high = psi[((x[:, 0] + 4) / 0.25).round().long()].T
        return size * (low + 1e-6 * middle + params[0] * high)

    params = torch.zeros(1, dtype=torch.float64)
    excited = problem(psi[:, :1])
    state, here = excited.state(function, params), excited.expand(function, params)
    assert abs(WEIGHTS @ (state * psi[:, 0])) < 1e-15
    assert here.energy.item() == pytest.approx(energies[1].item(), abs=1e-8)
    assert excited.value(function, params).item() == pytest.approx(energies[1].item(), abs=1e-8)
    assert here.size.item() == pytest.approx(size * psi[:, 0].abs().max().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            lambda psi: {"below": psi[:, 0]},
            r"below: got shape \(33,\), expected \(33, states\); one state",
        ),
        (lambda psi: {"below": psi[1:]}, r"below: got shape \(32, 3\), expected \(33, states\)"),
        (lambda psi: {"below": 2 * psi[:, :1]}, "below: got states with the scalar products .*orthonormal"),
        (lambda psi: {"below": psi[:, [0, 0]]}, "below: got states with the scalar products"),
        (lambda psi: {"below": psi * torch.nan}, "below: got NaN or infinities, expected finite numbers"),
        (lambda psi: {"weights": WEIGHTS[:, None]}, r"weights: got shape \(33, 1\), expected \(33,\)"),
    ],
)
def test_states_below_are_orthonormal_columns(options, message):
    """A state of shape (n,) used to broadcast to n x n: 1.5386 for 1.4902."""
    with pytest.raises(ValueError, match=message):
        problem(**options(levels()[1]))
