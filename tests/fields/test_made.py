"""Autoregressive networks: normalised, causal, drawn as they say, with contexts that are enough."""

import math

import pytest
import torch

from nnbook.exact.enumerate import configurations
from nnbook.fields.actions import Ising, QuantumPath
from nnbook.fields.made import MADE, frontier

KINDS = ["bernoulli", "gaussian_mixture", "von_mises", "beta"]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(4)


def network(kind="bernoulli", sites=6, hidden=5, seed=1, **options):
    """With weights that are large enough to matter."""
    generator = torch.Generator().manual_seed(seed)
    net = MADE(sites, hidden, conditional=kind, generator=generator, **options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return net


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("hidden", [0, 5])
def test_spins_are_normalised_and_drawn_as_they_say(odd, hidden, generator):
    net, s = network(hidden=hidden, odd=odd), torch.from_numpy(configurations(6))
    p = net.log_prob(s).exp().detach()
    assert float(p.sum()) == pytest.approx(1, abs=1e-13)
    drawn = net.sample(40_000, generator=generator)
    number = ((drawn < 0).long() * (1 << torch.arange(5, -1, -1))).sum(1)
    counts = torch.bincount(number, minlength=64).double()
    chi = float(((counts - 40_000 * p).square() / (40_000 * p).clamp(min=5)).sum())
    assert chi < 63 + 5 * math.sqrt(2 * 63)
    if odd:
        torch.testing.assert_close(p.flip(0), p)


@pytest.mark.parametrize("kind", KINDS)
def test_no_site_sees_a_later_one(kind, generator):
    net = network(kind)
    x = net.sample(3, generator=generator)
    other = net.sample(3, generator=generator)
    for site in range(6):
        changed = torch.cat([x[:, :site], other[:, site:]], 1)
        torch.testing.assert_close(net.conditionals(changed)[:, :site], net.conditionals(x)[:, :site])
    torch.testing.assert_close(net.conditionals(x).sum(1), net.log_prob(x))


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_entropy_that_their_probabilities_give(kind, generator):
    """The mean of q(y)/q(x) over samples x is one for any fixed map of measure one; here a cyclic shift."""
    net = network(kind, sites=3)
    x = net.sample(40_000, generator=generator)
    ratio = (net.log_prob(x.roll(1, 1)) - net.log_prob(x)).exp().detach()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / 200)


def test_odd_real_fields_are_exactly_symmetric(generator):
    net = network("gaussian_mixture", odd=True)
    x = net.sample(50, generator=generator)
    torch.testing.assert_close(net.log_prob(-x), net.log_prob(x))
    assert abs(float(net.sample(4000, generator=generator)[:, 0].sign().mean())) < 4 / math.sqrt(4000)


@pytest.mark.parametrize("length", [3, 4])
def test_frontier_is_all_that_an_ising_spin_depends_on(length):
    """The exact conditionals, from all configurations: equal frontiers, equal probabilities."""
    model, sites = Ising(length, 0.5), length**2
    weight = (-model(torch.from_numpy(configurations(sites)))).exp()
    context = frontier(model.bonds())
    for site in (length - 1, length + 1, sites - length, sites - 2, sites - 1):
        partial = weight.reshape(2**site, 2, -1).sum(2)
        up = partial[:, 0] / partial.sum(1)
        before = torch.from_numpy(configurations(site))
        kinds = (
            (before[:, context[site, :site]] < 0).long() * (1 << torch.arange(int(context[site].sum())))
        ).sum(1)
        spread = [float(up[kinds == kind].max() - up[kinds == kind].min()) for kind in kinds.unique()]
        assert max(spread) < 1e-12
        if site == sites - 1:  # only the four neighbours are left
            assert int(context[site].sum()) == 4


def test_arrays_of_numpy_are_as_good_as_tensors():
    net, s = network(), configurations(6)
    torch.testing.assert_close(net.log_prob(s), net.log_prob(torch.from_numpy(s)))
    bonds = QuantumPath(8, 1.0).bonds()
    assert torch.equal(frontier(bonds.numpy()), frontier(bonds))


def test_frontier_of_a_ring_is_its_first_and_last_site():
    context = frontier(QuantumPath(8, 1.0).bonds())
    assert [row.nonzero().flatten().tolist() for row in context] == [[], [0], *([0, i] for i in range(1, 7))]


def test_linear_start_is_exact_where_the_future_does_not_matter():
    """The last site of any Ising lattice: its logit is twice the field of its neighbours."""
    model = Ising(3, 0.4)
    net = MADE(9, 0, couplings=0.4 * model.bonds(), context=frontier(model.bonds()), odd=True)
    s = torch.from_numpy(configurations(9))
    exact = torch.log_softmax(torch.stack([-model(s), -model(s * torch.tensor([1.0] * 8 + [-1.0]))]), 0)[0]
    torch.testing.assert_close(net.conditionals(s)[:, -1], exact)


def test_number_of_parameters():
    model = Ising(8, 0.4)
    net = MADE(64, 16, context=frontier(model.bonds()), odd=True)
    assert net.parameter_count == 15_389
    assert MADE(4, 2).parameter_count == 6 * 3 + 4 * 2 + 4 * 3
    active = sum(
        int((p != 0).sum())
        for p in network(sites=4, hidden=2, context=torch.ones(4, 4).tril(-1)).parameters()
    )
    assert active >= MADE(4, 2).parameter_count


def test_same_seed_same_network_and_another_dtype():
    dtypes = torch.float64, torch.float32
    one, other = (MADE(4, 3, generator=torch.Generator().manual_seed(1), dtype=dtype) for dtype in dtypes)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.float(), b)
    assert other.sample(2, generator=torch.Generator()).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_follows_the_device_of_its_parameters(kind, generator, elsewhere):
    net = MADE(4, 3, conditional=kind, generator=generator, device="cpu")
    assert bool(net.log_prob(net.sample(3, generator=generator)).isfinite().all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MADE(4, 3, conditional="poisson"), "conditional: got 'poisson', expected one of bernoulli"),
        (lambda: MADE(0, 3), "sites: got 0"),
        (lambda: MADE(4, 3, context=torch.eye(4)), "context: got a site that sees itself or later ones"),
        (lambda: MADE(4, 3, context=torch.zeros(3, 3)), r"context: got shape \(3, 3\), expected \(4, 4\)"),
        (lambda: MADE(4, 3, couplings=torch.zeros(4, 3)), "couplings: got shape"),
        (lambda: MADE(4, 3, conditional="beta", couplings=torch.zeros(4, 4)), "couplings: got some"),
        (lambda: MADE(4, 3, conditional="von_mises", odd=True), "odd: got True with VonMisesMixture"),
        (
            lambda: MADE(4, 3).log_prob(torch.zeros(2, 4)),
            "x: got values that have no probability, expected spins",
        ),
        (lambda: MADE(4, 3).log_prob(torch.ones(2, 5)), r"x: got shape \(2, 5\), expected \(batch, 4\)"),
        (lambda: MADE(4, 3).sample(0, generator=torch.Generator()), "n: got 0"),
        (lambda: frontier(torch.ones(3, 3).triu()), "bonds: got two sites with a bond one way only"),
        (lambda: frontier(torch.ones(0, 0)), "sites: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()
