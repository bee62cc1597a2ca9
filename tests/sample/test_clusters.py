"""Cluster moves: Boltzmann weights of a small graph, errors."""

import math

import pytest
import torch

from nnbook.sample.clusters import cluster_sweep


def test_clusters_have_the_boltzmann_weights_of_a_small_graph():
    edges, couplings = torch.tensor([[0, 1], [1, 2], [2, 0]]), torch.tensor([0.3, 0.7, 0.1])
    generator, spins = torch.Generator().manual_seed(5), torch.ones(20000, 3, dtype=torch.int8)
    for _ in range(8):
        spins = cluster_sweep(spins, edges, couplings, generator)
    states = torch.cartesian_prod(*[torch.tensor([1.0, -1.0])] * 3)
    weight = (couplings * states[:, edges[:, 0]] * states[:, edges[:, 1]]).sum(1).exp()
    for i, j in edges.tolist():
        exact = float((weight * states[:, i] * states[:, j]).sum() / weight.sum())
        assert abs(float((spins[:, i] * spins[:, j]).double().mean()) - exact) < 4 / 20000**0.5


@pytest.mark.parametrize(("coupling", "got"), [(-0.1, "-0.1, expected none below"), (math.nan, "NaN or inf")])
def test_couplings_that_make_no_clusters_are_refused(coupling, got):
    with pytest.raises(ValueError, match=f"couplings: got {got}"):
        cluster_sweep(torch.ones(1, 2), torch.tensor([[0, 1]]), torch.tensor([coupling]), torch.Generator())
