"""The hierarchy: inverse, Jacobian, symmetries, what enters where, normalisation."""

import math

import pytest
import torch

from nnbook.fields.hierarchy import Block, Hierarchy


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def stirred(module, generator, size=0.3):
    with torch.no_grad():
        for p in module.parameters():
            p.add_(size * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return module


@pytest.mark.parametrize("symmetry", ["Z2", "U(1)", "none"])
def test_a_block_is_a_bijector_with_the_jacobian_it_says(symmetry, generator):
    block = stirred(Block(6, 3, symmetry=symmetry, generator=generator), generator)
    x = torch.randn(5, 4, block.components, generator=generator, dtype=torch.float64)
    y, log_det = block(x)
    back, same = block.inverse(y)
    assert float((back - x).detach().abs().max()) < 1e-10
    torch.testing.assert_close(same, log_det)
    for row, value in zip(x, log_det, strict=True):
        jac = torch.autograd.functional.jacobian(lambda v: block(v)[0], row)
        n = row.numel()
        assert float(torch.linalg.slogdet(jac.reshape(n, n))[1]) == pytest.approx(
            float(value.detach()), abs=1e-10
        )


@pytest.mark.parametrize(("length", "symmetry"), [(2, "Z2"), (4, "U(1)"), (8, "none")])
def test_the_hierarchy_is_one_too(length, symmetry, generator):
    flow = stirred(Hierarchy(length, depth=2, symmetry=symmetry, generator=generator), generator, 0.2)
    z = flow.noise(3, generator=generator)
    x, log_det = flow(z)
    back, same = flow.inverse(x)
    assert float((back - z).detach().abs().max()) < 1e-9
    torch.testing.assert_close(same, log_det)
    jac = torch.autograd.functional.jacobian(lambda v: flow(v[None])[0][0], z[0])
    assert float(torch.linalg.slogdet(jac)[1]) == pytest.approx(float(log_det[0]), abs=1e-9)
    torch.testing.assert_close(flow.log_prob(x), flow.log_prior(z) - log_det)


def test_signs_and_phases_are_exact_symmetries(generator):
    odd = stirred(Hierarchy(4, generator=generator), generator)
    z = odd.noise(5, generator=generator)
    torch.testing.assert_close(odd(-z)[0], -odd(z)[0])
    phase = stirred(Hierarchy(4, symmetry="U(1)", generator=generator), generator)
    z = phase.noise(5, generator=generator)

    def turn(x, angle=0.7):
        c, s = math.cos(angle), math.sin(angle)
        parts = x.reshape(len(x), -1, 2)
        return (parts @ torch.tensor([[c, s], [-s, c]], dtype=x.dtype)).reshape(len(x), -1)

    torch.testing.assert_close(phase(turn(z))[0], turn(phase(z)[0]))
    torch.testing.assert_close(phase.log_prob(turn(z)), phase.log_prob(z))
    none = stirred(Hierarchy(4, symmetry="none", generator=generator), generator)
    z = none.noise(5, generator=generator)
    assert float((none(-z)[0] + none(z)[0]).abs().max()) > 0.1


def test_it_starts_as_the_identity_and_is_normalised(generator):
    flow = Hierarchy(2, depth=1, generator=generator)
    z = flow.noise(100, generator=generator)
    torch.testing.assert_close(flow(z)[0], z)
    stirred(flow, generator, 0.2)
    wide = 2.0 * torch.randn(200_000, 4, generator=generator, dtype=torch.float64)
    log_wide = -0.5 * (wide / 2).square().sum(1) - 4 * math.log(2) - 2 * math.log(2 * math.pi)
    ratio = (flow.log_prob(wide) - log_wide).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=5 * float(ratio.std()) / 200_000**0.5)


def test_scales_and_causal_cones(generator):
    flow = stirred(Hierarchy(8, depth=1, generator=generator), generator)
    scales = flow.scales()
    assert [int((scales == k).sum()) for k in range(3)] == [48, 12, 4]
    z = flow.noise(1, generator=generator)
    jac = torch.autograd.functional.jacobian(lambda v: flow(v)[0][0], z)[:, 0]
    fine = int(torch.nonzero(scales == 0)[0])
    assert int((jac[:, fine] != 0).sum()) <= 16  # four blocks, then none
    x = flow(z)[0]
    torch.testing.assert_close(flow.coarse(x, 0)[..., 0], x)
    assert flow.coarse(x, 2).shape == (1, 4, 1)
    with pytest.raises(ValueError, match="at most 2"):
        flow.coarse(x, 3)


def test_weights_are_shared(generator):
    flow = stirred(Hierarchy(8, depth=2, generator=generator), generator, 0.1)
    z = flow.noise(2, generator=generator).reshape(2, 8, 8)
    z[:, ::4, ::4] = 0  # the coarsest block has an order of its own; what is odd leaves zero at zero
    here, there = (flow(v.flatten(1))[0].reshape(2, 8, 8) for v in (z, z.roll(4, 1)))
    torch.testing.assert_close(there, here.roll(4, 1))
    counts = [Hierarchy(n, generator=generator).parameter_count for n in (4, 8, 16)]
    assert counts[2] - counts[1] == counts[1] - counts[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 6}, "power of two"),
        ({"length": 4, "symmetry": "SU(2)"}, "expected one of Z2"),
        ({"length": 4, "depth": 0}, "depth"),
    ],
    ids=["length", "symmetry", "depth"],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        Hierarchy(**options)


def test_an_odd_block_is_refused():
    with pytest.raises(ValueError, match="2 x 2"):
        Block()(torch.zeros(1, 3, 1, dtype=torch.float64))
