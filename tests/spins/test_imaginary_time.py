"""Deep Boltzmann machines as evolution in imaginary time, against matrix exponentials and exact sums."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from nnbook.networks_as_tensors import trotter
from nnbook.spins.hamiltonians import SpinHamiltonian, heisenberg, ising
from nnbook.spins.imaginary_time import ImaginaryTime, sample_bulk
from nnbook.spins.lattices import chain, square


def energy_error(H, exact, **options):
    psi = ImaginaryTime(H, **options).amplitudes()
    return float(psi @ H.apply(psi[:, None])[:, 0]) - exact


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("lattice", "steps"), [(chain(3), 2), (chain(4), 1), (chain(4, boundary="open"), 2)])
@pytest.mark.parametrize("bond_units", [True, False])
def test_sum_over_all_hidden_units_is_the_trotter_product(order, lattice, steps, bond_units):
    H = ising(lattice, field=0.7)
    machine = ImaginaryTime(H, 0.2, steps, order).machine(bond_units=bond_units)
    np.testing.assert_allclose(machine.amplitudes(H.basis), trotter(H, 0.2, steps, order), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("lattice", [chain(7), chain(6, boundary="open"), square(3)])
def test_layers_summed_one_by_one_are_the_trotter_product(order, lattice):
    H = ising(lattice, field=1.3)
    product = trotter(H, 0.15, 12, order)
    psi = ImaginaryTime(H, 0.15, 12, order).amplitudes()
    np.testing.assert_allclose(psi, product / np.linalg.norm(product), rtol=1e-11)


@pytest.mark.parametrize("order", [1, 2])
def test_machine_has_layers_and_a_number_of_units_linear_in_both(order):
    network = ImaginaryTime(ising(chain(5), field=1.0), 0.1, 7, order)
    machine = network.machine()
    depths = machine.depths()
    assert depths is not None
    assert int(depths.max()) == 8
    assert ((depths[machine.edges[:, 0]] - depths[machine.edges[:, 1]]).abs() == 1).all()
    assert machine.hidden == 5 * 7 + 5 * (8 if order == 2 else 7)
    assert (machine.weights > 0).all()
    assert (machine.bias == 0).all()
    assert network.machine(bond_units=False).depths() is None


@pytest.mark.parametrize(("order", "power"), [(1, 2), (2, 4)])
def test_error_of_the_energy_falls_with_twice_the_order(order, power):
    H = ising(chain(6), field=1.0)
    exact, _ = H.ground_state()
    errors = [energy_error(H, exact, step=d, steps=round(12 / d), order=order) for d in (0.1, 0.05)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(power, abs=0.06)


@pytest.mark.parametrize(("order", "ratio"), [(1, 2), (2, 4)])
def test_small_steps_converge_to_the_evolution_in_imaginary_time(order, ratio):
    H = ising(chain(6), field=1.2)
    exact = expm(-H.matrix().toarray()) @ np.ones(64)
    exact /= np.linalg.norm(exact)
    errors = [
        np.linalg.norm(ImaginaryTime(H, 1 / steps, steps, order).amplitudes().numpy() - exact)
        for steps in (50, 100)
    ]
    assert errors[0] / errors[1] == pytest.approx(ratio, rel=0.02)


def test_long_steps_leave_the_state_along_x():
    network = ImaginaryTime(CRITICAL, 400.0, 1, order=1)
    assert network.log_constant == pytest.approx(4 * (400 - 1.5 * np.log(2)))
    assert network.machine().weights.isfinite().all()
    along_x = torch.full_like(network.amplitudes(), 0.25)
    torch.testing.assert_close(network.amplitudes(), along_x)


def test_energy_decays_with_twice_the_gap():
    H = ising(chain(6), field=1.2)
    values, vectors = np.linalg.eigh(H.matrix().toarray())
    gap = values[np.flatnonzero(abs(vectors.sum(0)) > 1e-8)[1]] - values[0]
    errors = [energy_error(H, values[0], step=0.001, steps=n) for n in (1500, 2000)]
    assert np.log(errors[0] / errors[1]) / 0.5 == pytest.approx(2 * gap, rel=3e-3)


@pytest.mark.parametrize("field", [0.6, 1.0, 1.8])
def test_samples_have_the_exact_correlations(field):
    H = ising(chain(6), field=field)
    network = ImaginaryTime(H, 0.15, 12)
    generator = torch.Generator().manual_seed(3)
    drawn = sample_bulk(network, samples=60, chains=200, generator=generator).visible
    weight, s = network.amplitudes().square(), H.basis
    for r in (1, 2, 3):
        chains = (drawn * drawn.roll(-r, 2)).mean((0, 2))
        exact = float(weight @ (s[:, 0] * s[:, r]))
        assert abs(float(chains.mean()) - exact) < 4 * float(chains.std()) / 200**0.5


def test_same_seed_gives_the_same_samples_and_the_window_its_shape():
    network = ImaginaryTime(ising(chain(4), field=1.0), 0.1, 5)
    options = {"samples": 2, "chains": 3, "window": 2}
    one, two = (sample_bulk(network, generator=torch.Generator().manual_seed(1), **options) for _ in "ab")
    assert torch.equal(one.rows, two.rows)
    assert one.rows.shape == (2, 3, 5, 4)
    assert one.last.shape == (3, 11, 4)
    assert torch.equal(one.rows[-1], one.last[:, 3:8])
    assert torch.equal(one.visible[-1], one.last[:, 5])


# Bad input

CRITICAL = ising(chain(4), field=1.0)
NETWORK = ImaginaryTime(CRITICAL, 0.1, 3)
ANTI = SpinHamiltonian(CRITICAL.lattice, -1.0, CRITICAL.moves, 1.0, "field of the other sign")


def drawn(**options):
    return sample_bulk(NETWORK, **{"samples": 1, "chains": 1, "generator": torch.Generator(), **options})


def test_network_is_made_where_it_is_asked_for(elsewhere):
    options = {"dtype": torch.float32, "device": "cpu"}
    machine = NETWORK.machine(**options)
    assert machine.depths().device == machine.weights.device
    assert NETWORK.amplitudes(**options).dtype == machine.weights.dtype == torch.float32
    assert drawn(window=1).rows.device == machine.weights.device


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ImaginaryTime(heisenberg(chain(4)), 0.1, 3), "hamiltonian: got Heisenberg"),
        (lambda: ImaginaryTime(ising(chain(4), field=0.0), 0.1, 3), "with no field infinite"),
        (lambda: ImaginaryTime(ANTI, 0.1, 3), "hamiltonian: got field of the other sign"),
        (lambda: ImaginaryTime(CRITICAL, 0.0, 3), "step: got 0, expected a finite number above 0"),
        (lambda: ImaginaryTime(CRITICAL, float("inf"), 3), "step: got inf"),
        (lambda: ImaginaryTime(CRITICAL, 0.1, 0), "steps: got 0, expected a whole number"),
        (lambda: ImaginaryTime(CRITICAL, 0.1, 2.5), "steps: got 2.5"),
        (lambda: ImaginaryTime(CRITICAL, 0.1, 3, 4), "order: got 4"),
        (lambda: ImaginaryTime(ising(chain(24), field=1.0), 0.1, 3).amplitudes(), "sites: got 24"),
        (lambda: NETWORK.machine().amplitudes(CRITICAL.basis), "hidden units to sum over"),
        (lambda: drawn(samples=0), "samples: got 0"),
        (lambda: drawn(chains=0), "chains: got 0"),
        (lambda: drawn(warm_up=-1), "warm_up: got -1"),
        (lambda: drawn(window=4), "window: got 4"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
