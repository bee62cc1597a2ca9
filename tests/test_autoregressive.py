"""The leaf of the autoregressive chapter: a network of one Gaussian a site is every Gaussian field."""

import math

import torch

from nnbook.autoregressive import MADE, Ising, frontier


def test_a_gaussian_field_is_a_linear_network_that_sees_the_frontier():
    """K = (1 - A)^T D (1 - A): the weights are A, the variances 1/D, and A vanishes beyond the frontier."""
    sites, bonds = 16, Ising(4, 0.4).bonds()
    identity = torch.eye(sites, dtype=torch.float64)
    kernel = 5 * identity - bonds
    lower = torch.linalg.cholesky(torch.linalg.inv(kernel))
    follow = identity - torch.linalg.inv(lower / lower.diagonal())
    context = frontier(bonds)
    assert float(follow[~context].abs().max()) < 1e-14
    net = MADE(sites, 0, conditional="gaussian_mixture", components=1, context=context)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        assert net.bias is not None
        net.bias[:, 2, 0] = lower.diagonal().log()  # the width
        padded = torch.cat([follow, torch.zeros(sites, 1, dtype=torch.float64)], 1)
        net.inward[:, 1] = padded.gather(1, net.index)  # the mean
    x = torch.randn(9, sites, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    exact = (torch.logdet(kernel) - sites * math.log(2 * math.pi) - ((x @ kernel) * x).sum(1)) / 2
    torch.testing.assert_close(net.log_prob(x), exact)
