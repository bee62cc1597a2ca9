"""Distributions of a site: one contract, limits in closed form."""

import math

import pytest
import torch
from scipy.stats import kstest, vonmises

from nnbook.fields.conditionals import Bernoulli, BetaMixture, GaussianMixture, VonMisesMixture

CONTINUOUS = {
    "gaussian": (GaussianMixture(3), -30.0, 30.0),
    "one gaussian": (GaussianMixture(1), -30.0, 30.0),
    "von Mises": (VonMisesMixture(3), 0.0, 2 * math.pi),
    "beta": (BetaMixture(2), 0.0, 2 * math.pi),
}


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture(params=CONTINUOUS.values(), ids=CONTINUOUS)
def continuous(request):
    return request.param


def raw_numbers(conditional, generator, columns=5):
    noise = torch.randn(conditional.outputs, columns, generator=generator, dtype=torch.float64)
    return conditional.start()[:, None] + 0.7 * noise.clamp(-1, 1)


def test_density_is_normalised_and_samples_have_it(continuous, generator):
    conditional, low, high = continuous
    raw = raw_numbers(conditional, generator, 3)
    x = torch.linspace(low, high, 40_001, dtype=torch.float64)[1:-1]
    for column in raw.mT[..., None]:
        density = conditional.log_prob(column, x).exp()
        heights = density.cumsum(0) * (x[1] - x[0])
        assert float(heights[-1]) == pytest.approx(
            1, abs=1e-2 if isinstance(conditional, BetaMixture) else 1e-3
        )
        drawn = conditional.sample(column.expand(-1, 4000), generator=generator)
        assert drawn.shape == (4000,)
        place = torch.searchsorted(x, drawn.contiguous()).clamp(max=len(x) - 1)
        assert kstest((heights / heights[-1])[place].numpy(), "uniform").pvalue > 1e-4


def test_spins_have_their_probability(generator):
    raw = torch.tensor([[-2.0, 0.0, 0.7]], dtype=torch.float64)
    up, down = (Bernoulli().log_prob(raw, torch.full((3,), s, dtype=torch.float64)) for s in (1.0, -1.0))
    torch.testing.assert_close(up.exp() + down.exp(), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(up - down, raw[0])
    drawn = Bernoulli().sample(raw[:, 2:].expand(1, 40_000), generator=generator)
    assert float((drawn + 1).mean() / 2) == pytest.approx(float(up[2].exp()), abs=4 * 0.5 / 200)


@pytest.mark.parametrize(
    "conditional", [Bernoulli(), *(c for c, *_ in CONTINUOUS.values())], ids=["spin", *CONTINUOUS]
)
def test_contract(conditional, generator):
    raw = raw_numbers(conditional, generator)
    x = conditional.sample(raw, generator=generator)
    assert x.shape == (5,)
    assert conditional.supports(x) == ""
    assert conditional.read(x).shape == (conditional.features, 5)
    both = torch.stack([raw, raw.flip(1)])  # any number of axes in front
    values = torch.stack([x, x.flip(0)])
    expected = torch.stack([conditional.log_prob(r, v) for r, v in zip(both, values, strict=True)])
    torch.testing.assert_close(conditional.log_prob(both, values), expected)
    if conditional.outputs > 1:  # a constant on the logarithms of weights
        shift = torch.zeros_like(raw)
        shift[: conditional.outputs // 3] = 2.0
        torch.testing.assert_close(conditional.log_prob(raw + shift, x), conditional.log_prob(raw, x))
    assert conditional.sample(raw.float(), generator=generator).dtype == torch.float32


@pytest.mark.parametrize("conditional", [Bernoulli(), GaussianMixture(3)], ids=["spin", "real"])
def test_symmetric_distributions(conditional, generator):
    """For c and for -c they are mirror images, whatever the raw numbers."""
    here, there = raw_numbers(conditional, generator), raw_numbers(conditional, generator)
    x = conditional.sample(here, generator=generator)
    one = conditional.log_prob(conditional.symmetric(here, there), x)
    torch.testing.assert_close(one, conditional.log_prob(conditional.symmetric(there, here), -x))


def test_von_mises_of_one_component_is_that_of_scipy():
    a, b = 1.2, -0.9
    raw = torch.tensor([[0.3], [a], [b]], dtype=torch.float64)
    x = torch.linspace(0, 6, 7, dtype=torch.float64)
    expected = vonmises.logpdf(x.numpy(), math.hypot(a, b), loc=math.atan2(b, a))
    torch.testing.assert_close(VonMisesMixture(1).log_prob(raw, x), torch.from_numpy(expected))


def test_angles_have_no_seam_but_betas_do():
    x = torch.tensor([1e-9, 2 * math.pi - 1e-9], dtype=torch.float64)
    raw = torch.tensor([[0.0], [0.6], [0.6]], dtype=torch.float64)
    smooth, torn = (c.log_prob(raw, x).exp() for c in (VonMisesMixture(1), BetaMixture(1)))
    assert float(smooth[0] - smooth[1]) == pytest.approx(0, abs=1e-8)
    assert float(torn.max()) < 1e-6  # a, b > 1
    assert float(BetaMixture(1).log_prob(-raw, x).exp().max()) > 3  # below 1


def test_gradients_are_finite_where_the_concentration_vanishes():
    raw = torch.zeros(3, 1, dtype=torch.float64, requires_grad=True)
    VonMisesMixture(1).log_prob(raw, torch.tensor([1.0], dtype=torch.float64)).sum().backward()
    expected = torch.tensor([[0.0], [math.cos(1)], [math.sin(1)]], dtype=torch.float64)
    torch.testing.assert_close(raw.grad, expected)


def test_values_without_probability():
    assert "spins of" in Bernoulli().supports(torch.tensor([1.0, 0.0]))


def test_wrong_input_says_so():
    with pytest.raises(ValueError, match="components: got 0"):
        GaussianMixture(0)
    with pytest.raises(ValueError, match="odd: got True with BetaMixture, expected False"):
        BetaMixture(1).symmetric(torch.zeros(3, 1), torch.zeros(3, 1))
