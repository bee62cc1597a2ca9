"""The leaf of the geometry chapter: closed forms of the bulk, determinants, brute force over all spins."""

import itertools
import math

import numpy as np
import pytest
import torch

from nnbook.emergent_geometry import Bulk, Rings, majorana_entropies, majorana_modes, tree_entropies

F = {"dtype": torch.float64}


def test_massless_field_has_its_closed_boundary_action():
    bulk, k = Bulk(1e-3, 40.0, 4000), torch.tensor([0.5, 1.0, 3.0], **F)
    exact = k**2 / 1e-3 / (1 + 1e-3 * k)
    assert ((bulk.boundary_action(k) - exact).abs() / exact).max() < 1e-6


def test_boundary_action_is_the_marginal_of_the_whole_matrix():
    bulk, k = Bulk(0.1, 5.0, 6, mass2=0.3), torch.tensor([0.7], **F)
    w, kernel = bulk.weights, torch.diag(bulk.within(k)[0])
    for n in range(6):
        kernel[n : n + 2, n : n + 2] += w[n] * torch.tensor([[1.0, -1.0], [-1.0, 1.0]], **F)
    marginal = 1 / torch.linalg.inv(kernel)[0, 0]
    torch.testing.assert_close(bulk.boundary_action(k)[0], marginal)


def test_discretisation_is_of_second_order():
    k = torch.tensor([1.0], **F)
    exact = 1 / 0.01 / 1.01
    off = [abs(float(Bulk(0.01, 30.0, n).boundary_action(k)[0]) - exact) for n in (400, 800)]
    assert math.log2(off[0] / off[1]) == pytest.approx(2, abs=0.05)


def test_majorana_covariance_is_pure_and_critical_slope_is_an_eighth():
    covariance = majorana_modes(512)
    assert np.abs(covariance @ covariance + np.eye(512)).max() < 1e-13
    lengths = np.arange(64, 257, 32)
    entropies = majorana_entropies(covariance, np.arange(512) < lengths[:, None])
    slope = np.polyfit(np.log(np.sin(np.pi * lengths / 512)), entropies, 1)[0]
    assert slope == pytest.approx(1 / 8, abs=0.001)


def test_region_and_complement_have_one_entropy():
    region = np.random.default_rng(1).random((5, 24)) < 0.5
    region[:, :2] = [True, False]
    for mass in (0.0, 0.3):
        covariance = majorana_modes(24, mass)
        np.testing.assert_allclose(
            majorana_entropies(covariance, region), majorana_entropies(covariance, ~region), atol=1e-12
        )


def test_rings_by_brute_force():
    rng = np.random.default_rng(1)
    couplings, sites, layers = rng.random(4), 4, 2
    regions = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]])

    def log_z(boundary):
        total = 0.0
        for flat in itertools.product((1, -1), repeat=sites * layers):
            tau = np.array(flat).reshape(layers, sites)
            energy = couplings[0] * (boundary * tau[0] - 1).sum() + couplings[1] * (tau[0] * tau[1] - 1).sum()
            energy += sum(couplings[2 + r] * (tau[r] * np.roll(tau[r], 1) - 1).sum() for r in range(layers))
            total += math.exp(energy)
        return math.log(total)

    wanted = [log_z(np.ones(sites)) - log_z(1 - 2 * region) for region in regions]
    ours = Rings(layers).entropies(torch.from_numpy(regions), torch.from_numpy(couplings))
    np.testing.assert_allclose(ours, wanted, atol=1e-12)


def test_tree_by_brute_force():
    """Four cells, two parents and a root, at each of the four places."""
    first, second = 0.4, 0.7
    region = np.array([1, 0, 0, 0])

    def log_z(cells):
        total = 0.0
        for left, right, root in itertools.product((1, -1), repeat=3):
            energy = first * (left * (cells[0] + cells[1]) + right * (cells[2] + cells[3]) - 4)
            total += math.exp(energy + second * (root * (left + right) - 2))
        return math.log(total)

    two = np.array([1, 1, 0, 0])
    wanted = [
        log_z(np.ones(4)) - np.mean([log_z(1 - 2 * np.roll(one, k)) for k in range(4)])
        for one in (region, two)
    ]
    ours = tree_entropies(torch.from_numpy(np.stack([region, two])), torch.tensor([first, second], **F))
    np.testing.assert_allclose(ours, wanted, atol=1e-13)


def test_tree_with_a_bond_cut_ends_there():
    """Behind a level without coupling nothing is felt, and a region and its complement have one entropy."""
    regions = torch.from_numpy(np.random.default_rng(2).integers(0, 2, (6, 8)))
    short, long = torch.tensor([0.4, 0.0, 0.3], **F), torch.tensor([0.4, 0.0, 1.9], **F)
    ours = tree_entropies(regions, short)
    torch.testing.assert_close(ours, tree_entropies(regions, long))
    torch.testing.assert_close(ours, tree_entropies(1 - regions, short))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Bulk(1.0, 0.5, 3), "far / near - 1: got -0.5"),
        (lambda: Bulk(0.1, 1.0, 3).boundary_action(torch.ones(2, **F), torch.ones(2, **F)), "weights: got"),
        (lambda: majorana_modes(5), "sites: got 5, expected an even number"),
        (lambda: majorana_modes(8, 2.0), "mass: got 2"),
        (lambda: Rings(7), "layers: got 7"),
        (lambda: tree_entropies(torch.ones(2, 6), torch.ones(2)), r"regions: got shape \(2, 6\)"),
        (lambda: Rings(2).entropies(torch.ones(1, 4), torch.ones(3)), r"couplings: got shape \(3,\)"),
    ],
    ids=["depth", "weights", "odd", "mass", "layers", "tree", "couplings"],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
