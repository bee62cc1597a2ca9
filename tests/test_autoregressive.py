"""The leaf of the autoregressive chapter: closed forms of Gaussian fields."""

import pytest
import torch

from nnbook.autoregressive import autoregression, free_field, hidden_weights

SKEW = torch.tensor([[1.0, 0.4], [0.0, 1.0]], dtype=torch.float64)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(6)


@pytest.mark.parametrize("shape", [(8,), (3, 4)])
def test_roots_of_a_free_field_are_all_the_same_density(shape, generator):
    kernel = free_field(shape, 0.5)
    sites = len(kernel)
    values = torch.linalg.eigvalsh(kernel)
    assert float(values[0]) == pytest.approx(0.25)
    level = float(values[-1]) + 0.3
    identity = torch.eye(sites, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(sites, sites, generator=generator, dtype=torch.float64)).Q
    triangular, symmetric = (hidden_weights(kernel, level, kind) for kind in ("triangular", "symmetric"))
    for w in (triangular, symmetric, triangular @ rotation):
        torch.testing.assert_close(level * identity - w @ w.mT, kernel)
    assert float(triangular.triu(1).abs().max()) < 1e-12
    torch.testing.assert_close(symmetric, symmetric.mT)
    torch.testing.assert_close(triangular, torch.linalg.cholesky(level * identity - kernel))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
def test_a_level_at_the_edge_of_the_spectrum_leaves_a_unit_free(dtype):
    kernel = free_field((6,), 1.0).to(dtype)
    w = hidden_weights(kernel, 5.0)
    torch.testing.assert_close(5.0 * torch.eye(6, dtype=dtype) - w @ w.mT, kernel)
    assert int(torch.linalg.matrix_rank(w, atol=1e-2)) == 5


def test_autoregression_is_another_triangle(generator):
    """Its conditionals are those of the field: regression on the sites before."""
    kernel = free_field((3, 3), 0.7)
    a, d = autoregression(kernel)
    one = torch.eye(9, dtype=torch.float64)
    torch.testing.assert_close((one - a).mT @ torch.diag(d) @ (one - a), kernel)
    assert float(a.triu().abs().max()) == 0
    covariance = torch.linalg.inv(kernel)
    for site in range(1, 9):
        slope = torch.linalg.solve(covariance[:site, :site], covariance[:site, site])
        torch.testing.assert_close(a[site, :site], slope)
        rest = covariance[site, site] - covariance[site, :site] @ slope
        assert float(1 / d[site]) == pytest.approx(float(rest))
    triangular = hidden_weights(kernel, 10.0)
    assert float((triangular - (one - a)).abs().max()) > 0.5  # not the triangle of the machine


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hidden_weights(free_field((4,), 1.0), 4.0), "level: got 4, expected at least .* 5"),
        (lambda: hidden_weights(free_field((4,), 1.0), 6.0, "round"), "kind: got 'round'"),
        (lambda: autoregression(-free_field((4,), 1.0)), "kernel: got one that is not positive"),
        (lambda: autoregression(SKEW), "kernel: got one that differs from its transpose by 0.4"),
        (lambda: hidden_weights(SKEW, 4.0), "kernel: got one that differs from its transpose by 0.4"),
        (lambda: hidden_weights(torch.ones(0, 0), 4.0), "sites: got 0"),
        (lambda: autoregression(torch.ones(2, 3)), r"kernel: got shape \(2, 3\), expected \(2, 2\)"),
        (lambda: free_field((4,), 0.0), "mass: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()
