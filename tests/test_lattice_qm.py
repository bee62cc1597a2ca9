"""Lattice quantum mechanics: the README's example, and networks written out as formulas."""

import math

import numpy as np
import pytest
import torch

from nnbook.lattice_qm import Grid, Hamiltonian, WaveFunction, formula, solve


def softplus(z):
    return np.logaddexp(0, z)


def test_example_of_the_readme():
    oscillator = Hamiltonian(Grid(points=1024, x_max=5.0), lambda x: x**2 / 2)
    ground = solve(oscillator, hidden=(8, 8), seed=1)
    first = solve(oscillator, hidden=(8, 8), below=[ground], seed=1)
    np.testing.assert_allclose([ground.energy, first.energy], [0.499997019827, 1.499985102353], atol=1e-8)


def test_printed_formula_of_the_talk_has_the_printed_energy():
    ham, s = Hamiltonian(Grid(), lambda x: x**2 / 2), softplus
    x = ham.grid.x
    a = (
        2.4069 * s(0.35953 * x + 3.9226)
        - 1.8344 * s(2.5821 * x + 0.033213)
        - 1.9778 * s(-0.65170 * x + 2.9574)
        + 2.3484 * s(0.15421 * x + 2.2016)
        - 4.8998
    )
    psi = s(a) / 3.7451
    kinetic, value = (float(e) for e in ham.energies(torch.as_tensor(psi)))
    assert (kinetic, value, kinetic + value) == pytest.approx((0.250048, 0.250027, 0.500075), abs=1e-6)
    assert math.sqrt(ham.grid.h * psi @ psi) == pytest.approx(0.99992, abs=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("signed", [False, True])
def test_formula_can_be_typed_in_again(signed):
    network = WaveFunction((3,), signed=signed, generator=torch.Generator().manual_seed(2))
    text = formula(network, digits=15)
    for latex, python in (
        (r"\begin{aligned}", ""),
        (r"\end{aligned}", ""),
        (r"\psi(x) &\propto", "psi ="),
        ("&=", "="),
        (r"\, ", "*"),
        ("{", ""),
        ("}", ""),
    ):
        text = text.replace(latex, python)
    x = np.linspace(-3, 3, 7)
    values = {"s": softplus, "x": x}
    for line in reversed(text.split(r" \\ ")):  # each line uses those below it
        exec(line.strip(), values)
    np.testing.assert_allclose(values["psi"], network(torch.as_tensor(x)[:, None]).detach(), rtol=1e-11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": (3, 3)}, "network: got 2 hidden layers of softplus units, expected one of softplus"),
        ({"hidden": (3,), "activation": "tanh"}, "network: got 1 hidden layers of tanh units, expected one"),
        ({"hidden": (2,), "inputs": 2}, "network: got 2 coordinates, expected a network of one"),
    ],
)
def test_formula_of_a_network_that_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        formula(WaveFunction(**options))
