"""Jets and their derivatives by the parameters, against automatic differentiation."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import jacrev, jvp

from nnbook.derivatives import SMOOTH, Jet, jet, jet_jacobian, slope
from nnbook.networks import MLP, as_function, flatten

seeds = st.integers(0, 2**32 - 1)
F64 = torch.float64


def network(seed=1, inputs=2, hidden=(5, 4), outputs=1, activation="tanh"):
    generator = torch.Generator().manual_seed(seed)
    return MLP(inputs, hidden, outputs, activation=activation, generator=generator, dtype=F64)


def drawn(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def nested(function, x):
    """The jet of a network without determinants and solvers, by nested forward differentiation."""
    along = lambda f, step: lambda x: jvp(f, (x,), (step.expand_as(x),))[1]  # noqa: E731
    steps = torch.eye(x.shape[1], dtype=F64)
    first = torch.stack([along(function, step)(x) for step in steps])
    return Jet(function(x), first, torch.stack([along(along(function, s), s)(x) for s in steps]))


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(sorted(SMOOTH)), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_jet_and_its_jacobian_equal_automatic_differentiation(seed, activation, inputs, layers, outputs):
    net, x = network(seed, inputs, (4,) * layers, outputs, activation), drawn(6, inputs, seed=seed)

    def read(u):
        return torch.cat([u.value * u.slope[0], u.bend.square().sum(0)], 1)

    for ours, exact in zip(jet(net, x), nested(net, x), strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-12)
    values, rows = jet_jacobian(net, x, read)
    function = as_function(net)
    expected = jacrev(lambda p: read(nested(lambda x: function(p, x), x)))(flatten(net))
    torch.testing.assert_close(values, read(jet(net, x)))
    torch.testing.assert_close(rows, expected, rtol=1e-9, atol=1e-11)


class Slater(nn.Module):
    activation = "tanh"

    def forward(self, x):
        return torch.linalg.det(x[:, :, None] * torch.eye(2, dtype=F64) + 1)[:, None]


@pytest.mark.parametrize("of", [jet, partial(jet_jacobian, read=lambda u: u.bend[0])])
@pytest.mark.parametrize(
    ("net", "x", "error", "message"),
    [
        # nested forward differentiation would give a number for this one, and a wrong one
        (Slater(), drawn(3, 2), TypeError, "got a Slater, expected an MLP"),
        (nn.Sequential(network()), drawn(3, 2), TypeError, "got a Sequential"),
        (network(activation="relu"), drawn(3, 2), ValueError, "activation 'relu'"),
        (network(), drawn(3, 1), ValueError, r"expected a tensor \(points, 2\)"),
        (network(), drawn(3), ValueError, r"got shape \(3,\)"),
        (network(), drawn(3, 2).numpy(), ValueError, "got a ndarray, expected a tensor"),
        (network(), drawn(3, 2).float(), ValueError, "float32, expected the network's torch.float64"),
    ],
)
def test_what_has_no_jet_is_refused(of, net, x, error, message):
    with pytest.raises(error, match=message):
        of(net, x)


def test_slope_along_an_input_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"along: got 1, .* 0 to 0"):
        slope(drawn(3, 1), jet(network(inputs=1), drawn(3, 1)), along=1)


STRICT = """
import torch
from nnbook.geometry.linear_pieces import kinks
from nnbook.lattice_qm import Grid, Hamiltonian, solve
from nnbook.networks import MLP
from nnbook.physics_informed import Residuals, Term, covariance
from nnbook.train import fit

class Unknown(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    def forward(self, x, u):
        return u.slope[0] - self.rate * u.value

points = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
net = MLP(1, (3,), activation="tanh", dtype=torch.float64)
Residuals(net, [Term("equation", Unknown(), points)]).rows()
kinks(MLP(1, (3,), activation="relu"), -1.0, 1.0)
solve(Hamiltonian(Grid(32), lambda x: x**2), hidden=(2,), starts=1)
fit(lambda: net(points).square().mean(), net.parameters(), steps=2)
"""


def test_where_warnings_are_errors_all_goes_on():
    """As with PYTHONWARNINGS=error: PyTorch warns of itself."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", STRICT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
