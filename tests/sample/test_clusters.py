"""Cluster moves: Boltzmann weights of a small graph, errors."""

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


def test_negative_coupling_is_refused():
    with pytest.raises(ValueError, match=r"couplings: got -0.1, expected none below zero"):
        cluster_sweep(torch.ones(1, 2), torch.tensor([[0, 1]]), torch.tensor([-0.1]), torch.Generator())
