"""Ordered configurations: each once, with the right weight and the right neighbours."""

import math
import pickle

import numpy as np
import pytest

from nnbook.particles.grid import Grid
from nnbook.particles.sectors import Particles, Sector

both = pytest.mark.parametrize("kind", ["boson", "fermion"])
counts = pytest.mark.parametrize("count", [1, 2, 3])


def normalised(sector, seed=1):
    psi = np.random.default_rng(seed).normal(size=len(sector.sites))
    return psi / math.sqrt(sector.weights @ psi**2)


@both
@counts
def test_sector_has_every_configuration_once(kind, count):
    sector = Sector(Grid(7), Particles(count, kind))
    rows = {tuple(row) for row in sector.sites.tolist()}
    assert len(rows) == len(sector.sites) == sector.particles.configurations(6)
    distance = np.diff(sector.sites, axis=1)
    assert (distance <= 0 if kind == "boson" else distance < 0).all()


@counts
def test_weights_fill_the_volume(count):
    grid = Grid(9)
    total = {"boson": 8**count, "fermion": math.perm(8, count)}
    for kind, places in total.items():
        weights = Sector(grid, Particles(count, kind)).weights
        assert weights.sum() == pytest.approx(grid.h**count * places, rel=1e-12)


@both
@counts
def test_full_wave_function_has_its_symmetry_and_norm(kind, count):
    sector = Sector(Grid(8), Particles(count, kind))
    full = sector.full(normalised(sector))
    assert (full**2).sum() * sector.grid.h**count == pytest.approx(1)
    for order, sign in zip(sector.particles.orders, sector.particles.signs, strict=True):
        np.testing.assert_array_equal(full.transpose(order), sign * full)


@both
@counts
def test_neighbours_are_one_hop_away(kind, count):
    sector = Sector(Grid(6), Particles(count, kind))
    psi = normalised(sector)
    around = np.pad(sector.full(psi), 1)[tuple(slice(None) for _ in range(count))]
    hopped = np.append(psi, 0)[sector.neighbours].sum(1)
    expected = sum(
        around[tuple((sector.sites + 1 + hop * unit).T)]
        for unit in np.eye(count, dtype=int)
        for hop in (1, -1)
    )
    np.testing.assert_allclose(hopped, expected, atol=1e-14)


@both
@counts
def test_density_and_distances_are_those_of_the_full_wave_function(kind, count):
    sector = Sector(Grid(8), Particles(count, kind))
    psi = normalised(sector, seed=2)
    h, probability = sector.grid.h, sector.full(psi) ** 2
    rest = tuple(range(1, count))
    np.testing.assert_allclose(sector.density(psi), count * h ** (count - 1) * probability.sum(rest))
    if count > 1:
        plane = probability.sum(tuple(range(2, count))) * h ** (count - 1)
        expected = [np.trace(plane, offset=k) for k in range(7)]
        np.testing.assert_allclose(sector.pair_distribution(psi), expected)


def test_a_sector_travels_as_its_arguments():
    sector = Sector(Grid(64), Particles(3, "boson"))
    there = pickle.dumps((sector, sector.sites[:0]))
    assert len(there) < 1000
    np.testing.assert_array_equal(pickle.loads(there)[0].sites, sector.sites)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Particles(0, "boson"), "count: got 0, expected a whole number, at least 1"),
        (lambda: Particles(1.5, "boson"), "count: got 1.5, expected a whole number"),
        (lambda: Particles(2, "anyon"), "statistics: got 'anyon', expected 'boson' or 'fermion'"),
        (
            lambda: Sector(Grid(8), Particles()).pair_distribution(np.ones(7)),
            "particles: got one, expected at least two",
        ),
    ],
)
def test_bad_input_says_what_it_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()
