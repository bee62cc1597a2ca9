"""The leaf of the chapter on matter in a box: plane waves are exact, so are pairs; bounds, spins, errors."""

import math

import numpy as np
import pytest
import torch

from nnbook.exact.ewald import (
    MINNESOTA,
    Ewald,
    cosh_transform,
    electron_gas,
    gaussian_transform,
    pair_in_box,
    singlet_matter,
)
from nnbook.matter_in_a_box import (
    ColdAtoms,
    ElectronGas,
    Neutrons,
    PairDeterminant,
    Product,
    measure,
    network,
    train,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


WELL = gaussian_transform(MINNESOTA)
PAIRS = {
    "electrons": (ElectronGas(2, 2.0), None),
    "neutrons": (Neutrons(2, 0.01), WELL),
    "atoms": (ColdAtoms(2, 0.2), None),
}


def exact(name):
    return exactly(*PAIRS[name])


def exactly(box, transform=None):
    if isinstance(box, ColdAtoms):
        return pair_in_box(cosh_transform(2 * box.mu**2, box.mu), box.length)
    if isinstance(box, Neutrons):
        return pair_in_box(transform, box.length, box.stiffness, 8)

    def coulomb(square):
        return np.divide(4 * math.pi / box.rs, square, out=np.zeros_like(square), where=square > 1e-9)

    return pair_in_box(coulomb, box.length, box.stiffness) + Ewald(box.length).madelung() / box.rs


def test_the_coulomb_energy_is_ewald_s(generator):
    box = ElectronGas(14, 2.0)
    x = box.start(3, generator=generator)
    pairs = [[(a[i] - a[j]).numpy() for i in range(14) for j in range(i)] for a in x]
    v = Ewald(box.length).pair(np.array(pairs)).sum(1) + 7 * Ewald(box.length).madelung()
    assert np.allclose(box.potential(network(box, 8, 0, generator=generator), x).numpy(), v / 2)


@pytest.mark.parametrize("box", [ElectronGas(14, 2.0), Neutrons(14, 0.04)], ids=["electrons", "neutrons"])
def test_plane_waves_have_their_hartree_fock_energy(box, generator):
    state = Product(PairDeterminant(box))
    found = measure(state, box, generator=generator, chains=200, samples=12, warm_up=8).energy
    if isinstance(box, ElectronGas):
        field = electron_gas(14, 2.0)
    else:
        field = singlet_matter(14, box.length, box.stiffness, WELL)
    assert abs(found.mean - 14 * field.energy) < 4 * found.error
    assert found.error < 0.02 * 14 * field.kinetic


@pytest.mark.parametrize("name", PAIRS)
def test_two_particles_become_exact(name, generator):
    box = PAIRS[name][0]
    state = network(box, 8, generator=generator)
    fit = train(state, box, generator=generator, steps=30, chains=100)
    found = measure(state, box, generator=generator, configurations=fit.configurations, samples=30).energy
    assert found.mean > exact(name) - 4 * found.error
    assert found.mean < exact(name) + 4 * found.error + 0.02 * abs(exact(name))


def test_atoms_take_open_shells(generator):
    box = ColdAtoms(4, 0.2)
    state = network(box, 3, 3, pairing=True, generator=generator)
    assert train(state, box, generator=generator, steps=1, chains=4).steps == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda g: ElectronGas(10, 1.0),
            "particles: got 10, expected closed shells",
        ),
        (lambda g: ElectronGas(7, 1.0), "particles: got 7, expected an even number"),
        (lambda g: ElectronGas(14, 0.0), "rs: got 0"),
        (lambda g: Neutrons(2, 0.08), "density: got 0.08, a cube of 2.92 fm, expected one of at least 3.5"),
        (lambda g: Neutrons(14, -1.0), "density: got -1"),
        (lambda g: ColdAtoms(4, 0.7), "range: got 0.7.*the potential has to fit into the box"),
        (lambda g: ColdAtoms(3, 0.1), "particles: got 3, expected an even number"),
        (lambda g: network(ElectronGas(14, 1.0), -1, generator=g), "hidden: got -1"),
        (lambda g: network(ElectronGas(14, 1.0), layers=-1, generator=g), "layers: got -1"),
        (lambda g: ElectronGas(2, 1.0).start(0, generator=g), "chains: got 0"),
    ],
)
def test_wrong_input_says_so(call, message, generator):
    with pytest.raises(ValueError, match=message):
        call(generator)
