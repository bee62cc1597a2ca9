"""The leaf of the chapter on learning from data: pinned nuclei, Gaussian processes, two generative models."""

import math

import pytest
import torch

from nnbook.exact.enumerate import configurations
from nnbook.fields.actions import Ising
from nnbook.learning_basics import (
    Autoencoder,
    Response,
    Staggered,
    condition,
    field_response,
    fit_kernel,
    liquid_drop,
    localise,
    mixture_weights,
    most_bound,
    nuclear_masses,
    outermost,
)

F = {"dtype": torch.float64}


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture(scope="module")
def data():
    return nuclear_masses()


@pytest.fixture(scope="module")
def chart():
    z, n = torch.meshgrid(torch.arange(8, 16), torch.arange(8, 20), indexing="ij")
    return torch.stack([z.flatten(), n.flatten()], 1).double()


def solve(design, y):
    return torch.linalg.lstsq(design, y[:, None], driver="gelsd").solution[:, 0]


# masses


@pytest.mark.parametrize(
    ("z", "n", "binding"),
    [(2, 2, 28.29566), (82, 126, 1636.430), (26, 30, 8.79036 * 56), (1, 0, 0.0)],
    ids=["helium", "lead", "iron", "hydrogen"],
)
def test_binding_energies_of_textbooks(data, z, n, binding):
    found = float(data.new[(data.z == z) & (data.n == n)])
    assert found == pytest.approx(binding, abs=6e-4)


def test_the_pinned_sets_of_nuclei(data):
    old, new = data.old.isfinite() & data.heavy, data.new.isfinite() & data.heavy
    assert (int(old.sum()), int(new.sum()), int((new & ~old).sum())) == (2353, 2457, 121)
    assert int((new & data.listed).sum()) == 2403
    assert bool(data.tables[old | new].isfinite().all())
    assert bool((data.error[data.new.isfinite()] < 2).all())


def test_liquid_drop_on_the_listed_nuclei(data):
    rows = data[data.new.isfinite() & data.heavy & data.listed]
    design = liquid_drop(rows.z, rows.n)
    theta = solve(design, rows.new)
    torch.testing.assert_close(
        theta, torch.tensor([15.579, 17.386, 0.7061, 22.884, 12.140], **F), atol=1e-3, rtol=0
    )
    assert float((rows.new - design @ theta).square().mean().sqrt()) == pytest.approx(3.060, abs=5e-4)


def test_fit_of_the_talk(data):
    rows = data[data.old.isfinite()]
    rows = rows[most_bound(rows.a, rows.old / rows.a)]
    a, y = rows.a, rows.old / rows.a
    assert len(a) == 267
    assert bool((a.diff() > 0).all())
    design = torch.stack([a**0, a, a ** (2 / 3), a ** (-1 / 3), 1 / a], 1)
    assert float((y - design @ solve(design, y)).square().mean()) == pytest.approx(0.0379, abs=5e-5)


def test_most_bound_is_a_maximum():
    a, b = torch.tensor([3.0, 2.0, 3.0, 2.0, 5.0], **F), torch.tensor([1.0, 2.0, 4.0, 1.0, 0.0], **F)
    assert most_bound(a, b).tolist() == [1, 2, 4]


def test_outermost_of_each_element():
    z = torch.tensor([8.0] * 5 + [9.0] * 2, **F)
    n = torch.tensor([8.0, 12.0, 9.0, 10.0, 11.0, 9.0, 10.0], **F)
    assert outermost(z, n, 1).tolist() == [True, True, False, False, False, True, True]
    assert int(outermost(z, n, 2).sum()) == 6


# Gaussian processes


def test_kernel_is_positive_and_a_sum_of_its_parts(chart):
    kernel = Staggered(2.0, 3.0, 0.3)
    assert float(torch.linalg.eigvalsh(kernel(chart, chart))[0]) > -1e-10
    extra = kernel(chart, chart) - Staggered(2.0)(chart, chart)
    here, flipped, both = (torch.tensor([[8.0, 8.0 + k]], **F) for k in (0, 1, 2))
    assert float(extra[0, 0]) == pytest.approx(0.6)
    assert float(kernel(here, flipped) - Staggered(2.0)(here, flipped)) == pytest.approx(
        0.3 * math.exp(-1 / 18)
    )
    assert float(kernel(here, both) - Staggered(2.0)(here, both)) == pytest.approx(0.6 * math.exp(-4 / 18))


def test_process_against_the_formulas_of_gaussians(chart, generator):
    """Evidence and prediction by the joint density, without a Cholesky factor."""
    kernel, noise = Staggered(2.0, 3.0, 0.2), 0.1
    y = torch.randn(len(chart), 2, generator=generator, **F)
    seen, rest = chart[10:], chart[:10]
    process = condition(seen, y[10:], kernel, noise)
    full = kernel(chart, chart) + noise * torch.eye(len(chart), **F)
    precision = torch.linalg.inv(full)
    block = torch.linalg.inv(precision[:10, :10])  # the conditional covariance is the inverse of a block
    mean = -block @ precision[:10, 10:] @ y[10:]
    found, spread = process.predict(rest)
    torch.testing.assert_close(found, mean)
    torch.testing.assert_close(spread, block.diagonal().sqrt()[:, None] * process.scale)
    found, spread = process.predict(rest[:5], minus=rest[5:])
    apart = block.diagonal()[:5] + block.diagonal()[5:] - 2 * block[:5, 5:].diagonal()
    torch.testing.assert_close(found, mean[:5] - mean[5:])
    torch.testing.assert_close(spread, apart.sqrt()[:, None] * process.scale)
    covariance = full[10:, 10:] * process.scale[0] ** 2
    density = torch.distributions.MultivariateNormal(torch.zeros(len(seen), **F), covariance)
    assert float(process.evidence[0]) == pytest.approx(float(density.log_prob(y[10:, 0])))


def test_kernel_is_found_again(chart, generator):
    truth, noise = Staggered(2.0, 3.0, 0.5), 0.05
    root = torch.linalg.cholesky(truth(chart, chart) + noise * torch.eye(len(chart), **F))
    y = root @ torch.randn(len(chart), 40, generator=generator, **F)
    found, nu = fit_kernel(chart, y, Staggered(4.0, 4.0, 0.1), 0.2, evaluations=200)
    plain, other = fit_kernel(chart, y, Staggered(4.0), 0.2)
    right, best, blind = (
        float(condition(chart, y, *guess).evidence.sum())
        for guess in ((truth, noise), (found, nu), (plain, other))
    )
    assert best > right - 0.5
    assert found.length == pytest.approx(2.0, rel=0.1)
    assert plain.weight == 0
    assert best - blind > 100


def test_weights_of_a_mixture_are_at_a_maximum(generator):
    misses = torch.randn(500, 3, generator=generator, **F) * torch.tensor([0.5, 1.0, 3.0], **F)
    spread = torch.tensor([0.5, 1.0, 3.0], **F).expand(500, 3)
    weights = mixture_weights(misses, spread, steps=2000)
    assert float(weights.sum()) == pytest.approx(1)
    density = torch.exp(-0.5 * (misses / spread) ** 2) / spread
    slopes = (density / (density @ weights)[:, None]).mean(0)  # one where a weight is above zero, else below
    assert bool((slopes < 1 + 1e-3).all())
    assert float((weights * (slopes - 1)).abs().max()) < 1e-3


# generative models


def test_response_in_a_field_against_enumeration(generator):
    for length, batch in ((2, 6), (3, 6), (4, 3)):
        model = Ising(length, 0.4)
        s = torch.from_numpy(configurations(length**2))
        h = 3 * torch.randn(batch, length**2, generator=generator, **F)
        exact = (h @ s.mT - model(s)).softmax(1) @ s
        torch.testing.assert_close(field_response(h, 0.4, length), exact)
    strong = torch.full((1, 16), 800.0, **F)
    torch.testing.assert_close(field_response(strong, 0.4, 4), torch.ones(1, 16, **F))


def test_network_of_the_response_has_the_symmetries(generator):
    net = Response(3, 2, generator=generator)
    h = torch.randn(4, 9, generator=generator, **F)
    torch.testing.assert_close(net(h), torch.tanh(h))  # before training
    torch.nn.init.normal_(net.kernels[-1], generator=generator)

    def shifted(x):
        return x.reshape(-1, 3, 3).roll((1, 2), (1, 2)).flatten(1)

    torch.testing.assert_close(net(shifted(h)), shifted(net(h)))
    torch.testing.assert_close(net(-h), -net(h))
    assert float((net(h) - torch.tanh(h)).detach().abs().max()) > 1e-3


def test_exact_localisation_draws_from_the_model(generator):
    model, n = Ising(2, 0.2), 4000
    s = torch.from_numpy(configurations(4))
    p = (-model(s)).softmax(0)
    times = torch.cat([torch.zeros(1, **F), torch.logspace(-2, 1.1, 60, **F)])
    drawn = localise(lambda h: field_response(h, 0.2, 2), times, n, 4, generator=generator)
    number = ((1 - drawn) / 2 @ torch.tensor([8.0, 4.0, 2.0, 1.0], **F)).long()
    seen = number.bincount(minlength=16) / n
    chi_square = float(n * ((seen - p) ** 2 / p).sum())
    assert chi_square < 40  # 15 degrees of freedom


def test_autoencoder_is_normalised_and_its_bound_is_one(generator):
    net = Autoencoder(4, 2, 8, generator=generator)
    s = torch.from_numpy(configurations(4))
    log_p = net.log_prob(s)
    assert float(log_p.exp().sum()) == pytest.approx(1)
    torch.testing.assert_close(log_p, net.log_prob(s, points=81), atol=1e-6, rtol=0)
    bounds = torch.stack([net.bound(s, generator=generator).detach() for _ in range(400)])
    error = bounds.std(0) / 20
    assert bool((bounds.mean(0) < log_p + 4 * error).all())
    z = torch.randn(200_000, 2, generator=generator, **F)  # p by plain sampling of z
    logits = net.decoder(z).detach()
    direct = torch.stack([torch.sigmoid(logits * row).prod(1).mean() for row in s])
    torch.testing.assert_close(log_p.exp(), direct, rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: liquid_drop(torch.ones(2, **F), torch.ones(2, **F), 8), "terms: got 8, expected at most 7"),
        (lambda: liquid_drop(torch.zeros(2, **F), torch.zeros(2, **F)), "column a"),
        (
            lambda: condition(torch.ones(2, 2, **F), torch.ones(2, **F), Staggered(1.0), 0.1),
            "add \\[:, None\\]",
        ),
        (lambda: Staggered(0.0), "length: got 0"),
        (lambda: mixture_weights(torch.ones(3, 2, **F), torch.zeros(3, 2, **F)), "column spread"),
        (lambda: field_response(torch.ones(1, 49, **F), 0.4, 7), "length: got 7, expected at most 6"),
        (lambda: localise(torch.tanh, torch.ones(3, **F), 1, 4, generator=None), "increase from zero"),
        (lambda: Autoencoder(4, 3, 8, generator=None).decode(), "latent: got 3, expected 1 or 2"),
        (lambda: Response(3, generator=None)(torch.ones(1, 4, **F)), "h: got shape"),
    ],
    ids=["terms", "nothing", "one column", "length", "spread", "rows", "times", "latent", "sites"],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("text", "message"), [("z,n\n", "columns 'z,n'"), ("{}\n1,2,3\n", "got 3 cells in row 0")]
)
def test_a_file_of_another_form(tmp_path, text, message):
    path = tmp_path / "masses.csv"
    path.write_text(text.format("z,n,ame2012,ame2020,error,listed,duzu"))
    with pytest.raises(ValueError, match=message):
        nuclear_masses(path)
