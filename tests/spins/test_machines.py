"""Deep Boltzmann machines: couplings made by hidden units, tensors made by couplings, layers, errors."""

import itertools
import math

import numpy as np
import pytest
import torch

from nnbook.spins.lattices import all_spins
from nnbook.spins.machines import BoltzmannMachine, deep_machine, pair_unit, triple_unit
from nnbook.spins.tensors import contract


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("coupling", [0.7, -0.7, 1e-3, 4.0, 100.0])
def test_hidden_units_make_couplings(coupling):
    w, other, constant = pair_unit(coupling)
    t, b, (t0, t1, t2) = triple_unit(coupling)

    def log_2cosh(angle):
        return np.logaddexp(angle, -angle)

    for x, y, z in itertools.product((1, -1), repeat=3):
        made = constant + log_2cosh(w * x + other * y)
        assert made == pytest.approx(coupling * x * y, abs=1e-9)
        made = log_2cosh(b + t * (x + y + z))
        terms = t0 + t1 * (x + y + z) + t2 * (x * y + y * z + z * x) + coupling * x * y * z
        assert made == pytest.approx(terms, abs=1e-9)


@pytest.mark.parametrize("sites", [2, 3, 4])
def test_positive_matrix_product_state_is_a_deep_machine(sites):
    tensors = [0.05 + normal(2, 1 + (i > 0), 1 + (i < sites - 1)).square() for i in range(sites)]
    machine, spins = deep_machine(tensors), all_spins(sites)
    torch.testing.assert_close(machine.amplitudes(spins), contract(tensors, spins), rtol=1e-11, atol=0)
    assert deep_machine([t.float() for t in tensors]).weights.dtype == torch.float32
    depths = machine.depths()
    assert depths is not None
    assert (depths[machine.edges].sum(1) % 2 == 1).all()


def test_product_state_is_a_machine_without_hidden_units():
    machine, spins = deep_machine([t := torch.tensor([[[2.0]], [[0.5]]])] * 3), all_spins(3).float()
    assert machine.hidden == 0
    torch.testing.assert_close(machine.amplitudes(spins), contract([t] * 3, spins))


def test_depths_are_none_where_units_of_a_layer_are_coupled():
    bias, weights = torch.zeros(3, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    assert BoltzmannMachine(1, bias, torch.tensor([[0, 1], [1, 2]]), weights).depths().tolist() == [0, 1, 2]
    assert BoltzmannMachine(2, bias, torch.tensor([[0, 1], [1, 2]]), weights).depths() is None
    assert BoltzmannMachine(1, bias, torch.tensor([[0, 1], [0, 1]]), weights).depths() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_machine_follows_the_tensors(dtype, elsewhere):
    tensors = [torch.ones(2, 1 + (i > 0), 1 + (i < 2), dtype=dtype, device="cpu") for i in range(3)]
    machine = deep_machine(tensors)
    assert machine.depths().device == machine.weights.device
    assert machine.amplitudes(all_spins(3, dtype=dtype, device="cpu")).dtype == dtype


ZEROS = torch.zeros(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pair_unit(float("inf")), "coupling: got inf"),
        (lambda: triple_unit(float("nan")), "coupling: got nan"),
        (lambda: deep_machine([]), r"tensors: got shapes \[\]"),
        (
            lambda: deep_machine([torch.ones(2, 1, 2), torch.ones(2, 1, 1)]),
            "each right bond to match the next left one",
        ),
        (lambda: BoltzmannMachine(1, ZEROS * 1j, torch.zeros(0, 2), ZEROS[:0]), "bias: got complex numbers"),
        (lambda: BoltzmannMachine(1, ZEROS, torch.zeros(1, 2), ZEROS), r"edges: got shape \(1, 2\)"),
        (lambda: BoltzmannMachine(3, ZEROS, torch.zeros(0, 2).long(), ZEROS[:0]), "visible: got 3"),
        (lambda: BoltzmannMachine(1, ZEROS[:, None], torch.zeros(0, 2), ZEROS[:0]), r"bias: got shape \("),
        (lambda: BoltzmannMachine(1, ZEROS, torch.zeros(1, 2), math.nan * ZEROS[:1]), "weights: got NaN"),
        (
            lambda: BoltzmannMachine(1, ZEROS, torch.full((1, 2), 7), ZEROS[:1]),
            "edges: got numbers from 7 to 7",
        ),
        (lambda: triple_unit(math.nan), "coupling: got nan, expected a finite number"),
        (lambda: deep_machine([torch.full((2, 1, 1), math.inf)] * 2), "tensors: got an entry that is"),
        (
            lambda: BoltzmannMachine(1, torch.zeros(31), torch.zeros(0, 2).long(), torch.zeros(0)).amplitudes(
                torch.ones(1, 1)
            ),
            "30 hidden units to sum over",
        ),
        (lambda: deep_machine([torch.ones(2, 1, 3), torch.ones(2, 3, 1)]), "bonds of one or two"),
        (lambda: deep_machine([-torch.ones(2, 1, 1)] * 2), "zero or negative"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
