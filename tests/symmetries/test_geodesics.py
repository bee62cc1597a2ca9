"""Geodesics and the curvature of a conformal metric."""

import pytest
import torch

from nnbook.symmetries import geodesic, integrate, ricci, rk4

F64 = torch.float64


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=2):
    return torch.randn(shape, generator=dice(seed), dtype=F64)


@pytest.mark.parametrize("sign", [1, -1])
def test_geodesics_and_curvature_of_a_conformal_metric(sign):
    x, v, one = 0.3 * drawn(6, 2), 0.5 * drawn(6, 2, seed=3), torch.eye(2, dtype=F64)

    def symbols(x):
        slope = -2 * sign * x / (1 + sign * x.square().sum())  # of the logarithm of the factor
        first = torch.einsum("ij,k->ijk", one, slope)
        return first + first.mT - torch.einsum("jk,i->ijk", one, slope)

    def field(t, state):
        a, b = state.chunk(2, -1)
        return torch.cat([b, -torch.einsum("nijk,nj,nk->ni", torch.func.vmap(symbols)(a), b, b)], -1)

    there, length = geodesic(x, v, 1.0, sign)
    path = integrate(rk4, field, torch.cat([x, v], 1), torch.linspace(0, 1, 101, dtype=F64))
    torch.testing.assert_close(path[-1, :, :2], there, atol=1e-8, rtol=1e-8)
    metric = (4 / (1 + sign * x.square().sum(1)) ** 2)[:, None, None] * one
    torch.testing.assert_close(ricci(symbols, x), sign * metric)
    torch.testing.assert_close(torch.einsum("nij,ni,nj->n", metric, v, v), length**2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geodesic(drawn(3, 2), drawn(3, 2), 1.0, 0), "sign: got 0, expected 1 or -1"),
    ],
    ids=[f"value {k}" for k in range(1)],
)
def test_wrong_values_say_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()
