"""Transfer matrices: enumeration, the torus, currents of the XY model."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import iv
from scipy.stats import chi2

from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows, Ring, xy_torus


def is_drawn_from(numbers, probabilities):
    """Whether counts are as probable as they should be; frequent values one by one, rare ones together."""
    counts = np.bincount(numbers, minlength=len(probabilities))
    expected = len(numbers) * probabilities
    often = expected > 20
    seen, wanted = (np.append(c[often], c[~often].sum()) for c in (counts, expected))
    return chi2.sf(((seen - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum(), len(seen) - 1) > 1e-4


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# Rings


def test_ring_of_unequal_sites_is_the_sum_over_its_states(rng):
    sizes = [3, 2, 4, 2]
    matrices = [rng.random((a, b)) * 10**k for k, (a, b) in enumerate(itertools.pairwise([*sizes, 3]))]
    matrices[1][0] = 0.0  # a state from which nothing follows
    states = np.array(list(itertools.product(*map(range, sizes))))
    weights = math.prod(m[s, t] for m, s, t in zip(matrices, states.T, np.roll(states.T, -1, 0), strict=True))
    ring = Ring(matrices)
    assert ring.log_z == pytest.approx(math.log(weights.sum()), rel=1e-13)
    first = np.bincount(states[:, 0], weights) / weights.sum()
    np.testing.assert_allclose(ring.marginal(), first, rtol=1e-13)
    drawn = np.ravel_multi_index(tuple(ring.sample(50_000, rng).T), sizes)
    assert is_drawn_from(drawn, weights / weights.sum())


def test_samples_are_independent_of_their_neighbours_in_the_list(rng):
    drawn = IsingRows(BETA_C, 4).sample(20_000, rng).mean(1)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 4 / math.sqrt(20_000)


# Ising


@pytest.mark.parametrize("beta", [0.3, BETA_C, 0.6])
@pytest.mark.parametrize("shape", [(8, 8), (3, 5), (5, 3), (12, 4)], ids=str)
def test_ising_rows_have_the_partition_function_and_energy_of_the_torus(beta, shape):
    model, exact = IsingRows(beta, *shape), torus(beta, *shape)
    sites = math.prod(shape)
    assert model.log_z == pytest.approx(exact.log_z * sites, rel=1e-13)
    turned = IsingRows(beta, *shape[::-1])
    assert -(model.correlation(1) + turned.correlation(1)) == pytest.approx(exact.energy, rel=1e-11)


@pytest.mark.parametrize(
    ("beta", "order", "square"),
    [(0.3, 0.5203580, 5.7223488), (BETA_C, 0.8438604, 12.1817425), (0.6, 0.9728675, 15.2463689)],
)
def test_magnetisation_has_the_enumerated_moments(beta, order, square):
    m, p = IsingRows(beta, 4).magnetisation()
    assert p.sum() == pytest.approx(1, abs=1e-13)
    assert p @ np.abs(m) / 16 == pytest.approx(order, abs=1e-7)
    assert p @ m**2 / 16 == pytest.approx(square, abs=1e-7)


def test_magnetisation_of_rows_and_columns_and_of_a_free_lattice():
    np.testing.assert_allclose(
        IsingRows(0.4, 3, 4).magnetisation()[1], IsingRows(0.4, 4, 3).magnetisation()[1], atol=1e-14
    )
    binomial = np.array([math.comb(12, k) for k in range(13)]) / 2**12
    np.testing.assert_allclose(IsingRows(0.0, 3, 4).magnetisation()[1], binomial, atol=1e-15)


@pytest.mark.parametrize("beta", [0.3, 0.6, -0.2])
def test_small_ising_lattices_are_drawn_from_all_configurations(beta, rng):
    s = configurations(9).reshape(-1, 3, 3)
    energy = -(s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).sum((1, 2))
    p = np.exp(-beta * energy)
    drawn = IsingRows(beta, 3).sample(40_000, rng)
    assert is_drawn_from((drawn < 0).astype(int) @ (1 << np.arange(9)[::-1]), p / p.sum())


def test_large_ising_lattices_have_the_exact_energy_and_magnetisation(rng):
    model, exact = IsingRows(BETA_C, 8), torus(BETA_C, 8)
    s = model.sample(20_000, rng).reshape(-1, 8, 8)
    energy = -(s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).mean((1, 2))
    sigma = math.sqrt(exact.specific_heat) / BETA_C / 8 / math.sqrt(len(s))
    assert energy.mean() == pytest.approx(exact.energy, abs=4 * sigma)
    m, p = model.magnetisation()
    order = np.abs(s.sum((1, 2)))
    assert order.mean() == pytest.approx(p @ np.abs(m), abs=4 * order.std() / math.sqrt(len(s)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Ring([np.ones((2, 3))]), r"matrices: got shapes .* expected as many columns"),
        (lambda: Ring([]), "matrices: got shapes"),
        (lambda: Ring([np.array([[1.0, -1.0], [1.0, 1.0]])]), "a weight below zero"),
        (lambda: IsingRows(0.4, 16), "got 16 rows of 16 sites, expected at least 2 rows of 2 to 12"),
        (lambda: IsingRows(math.nan, 4), "beta: got nan"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("beta", "log_z", "energy", "helicity"),
    [
        (0.5, 31.603273, -0.607409, None),
        (0.8, 35.882568, -1.170141, None),
        (1.0, 40.053514, -1.411729, 0.65552),
        (1 / 0.9, 42.639779, -1.493330, None),
    ],
)
def test_angles_on_a_torus_by_currents(beta, log_z, energy, helicity):
    """Another program: twelve angles a site, row by row; the helicity from a twist of the boundary."""
    found = xy_torus(beta, 4)
    assert found[:2] == (pytest.approx(log_z, abs=2e-5), pytest.approx(energy, abs=2e-5))
    assert helicity is None or found[2] == pytest.approx(helicity, abs=2e-5)
    assert found[1] == pytest.approx(xy_torus(beta, 4, rows=500)[1], abs=4e-3)


def test_angles_at_high_temperature():
    """Bonds alone to third order in beta; the helicity from loops around the torus."""
    beta = 0.02
    log_z, energy, helicity = xy_torus(beta, 4)
    assert log_z - 16 * math.log(2 * math.pi) == pytest.approx(
        32 * math.log(iv(0, beta)), rel=0, abs=60 * (beta / 2) ** 4
    )
    assert energy == pytest.approx(-beta, rel=1e-3)
    assert helicity == pytest.approx(8 * (beta / 2) ** 4 / beta, rel=1e-2)  # four columns, up or down


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1.0, "length": 5}, "length: got 5, expected 3 or 4"),
        ({"beta": 0.0, "length": 3}, "beta: got 0"),
        ({"beta": 1.0, "length": 3, "rows": 0}, "rows: got 0"),
    ],
)
def test_angles_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        xy_torus(**options)
