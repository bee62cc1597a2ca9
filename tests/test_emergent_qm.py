"""The leaf of the chapter on emergent quantum mechanics, beside closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from nnbook.emergent_qm import (
    ConvexLoss,
    Distiller,
    Translator,
    condensates,
    fit_translator,
    intrinsic_dimension,
    minimise,
    polynomial,
    potentials,
    products,
    propagator,
    sparse_regression,
    waves,
    windows,
)
from nnbook.networks import as_function, flatten

F = {"dtype": torch.float64}
A = 0.1


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def data(count=9, sites=20):
    kinds = ("shallow", "deep", "rough")
    parts = [potentials(kind, count // 3, sites, spacing=A, generator=dice()) for kind in kinds]
    v = torch.cat(parts)
    return v, waves(v, A)[..., 0].square()


def test_the_propagator_is_that_of_the_differential_equation():
    v = np.array([-3.0, 0.0, 1.5, -0.5])

    def slope(x, y):
        return [y[1], v[min(int(x / A), 3)] * y[0]]

    state = np.array([1.0, 0.0])
    for cell in range(4):  # one cell at a time: the potential jumps
        ends = (cell * A, (cell + 1) * A - 1e-15)
        state = solve_ivp(slope, ends, state, rtol=1e-12, atol=1e-13).y[:, -1]
        ours = waves(torch.from_numpy(v)[None], A)[0, cell].numpy()
        np.testing.assert_allclose(ours, state, atol=1e-10)


@pytest.mark.parametrize("v", [-4.0, -1e-12, 0.0, 1e-12, 2.0])
def test_the_propagator_keeps_areas(v):
    step = propagator(torch.tensor([v], **F), A)[0]
    assert float(torch.linalg.det(step)) == pytest.approx(1, abs=1e-14)
    assert float(step.trace()) == pytest.approx(2 * np.cosh(A * np.sqrt(v + 0j)).real, abs=1e-14)


def test_potentials_stay_in_their_range_and_waves_are_smooth():
    v = potentials("deep", 50, 200, spacing=A, generator=dice())
    assert -4 <= float(v.min()) < float(v.max()) <= 2
    assert float(v.diff(dim=1).abs().max()) < 4 * 1.5 * 4 * 2.2 * A
    assert float(potentials("rough", 50, 200, spacing=A, generator=dice()).diff(dim=1).std()) > 1


def half_trap(cells, reach):
    x = reach / cells * (torch.arange(cells, **F) + 0.5)
    return x, x[None] ** 2 / 2, reach / cells


def test_a_condensate_without_interaction_is_the_gaussian():
    x, trap, dx = half_trap(80, 8.0)
    found = condensates(trap, dx, interaction=0.0, number=0.5)
    assert float(found.chemical_potential) == pytest.approx(0.5, abs=1e-10)
    torch.testing.assert_close(found.psi[0], math.pi**-0.25 * (-(x**2) / 2).exp(), atol=1e-9, rtol=0)
    edge = dx * torch.arange(81, **F)
    psi = math.pi**-0.25 * (-(edge**2) / 2).exp()
    torch.testing.assert_close(found.wave[0], torch.stack([psi, -edge * psi], 1), atol=1e-8, rtol=0)


def test_a_condensate_obeys_the_virial_theorem_and_tends_to_thomas_and_fermi():
    """2 T - 2 U + I = 0 is exact; the chemical potential lies above (3g/2)^(2/3)/2, ever less so."""
    above = []
    for g in (10.0, 100.0):
        reach = 2 * (1.5 * g) ** (1 / 3) + 2
        _, trap, dx = half_trap(100, reach)
        found = condensates(trap, dx, interaction=g, number=0.5)
        density = found.psi[0].square() * dx * 2
        potential, interaction = float(trap[0] @ density), float(g / 2 * found.psi[0].square() @ density)
        kinetic = float(found.chemical_potential) - potential - 2 * interaction
        assert 2 * kinetic - 2 * potential + interaction == pytest.approx(0, abs=1e-6)
        above.append(float(found.chemical_potential) / (0.5 * (1.5 * g) ** (2 / 3)) - 1)
    assert 0 < above[1] < above[0] / 5 < 0.01


def test_a_condensate_is_a_wave_in_its_own_potential():
    """The propagator with cell averages errs in the second order of the spacing."""
    errors = []
    for cells in (40, 80):
        x = 6.0 / cells * (torch.arange(cells, **F) + 0.5)
        trap = 0.4 * torch.cos(math.pi / 3 * x)[None]
        found = condensates(trap, 6.0 / cells, interaction=1.0, number=6.0)
        exact = found.wave[:, 1:, 0] / found.wave[:, :1, 0]
        errors.append(float((waves(found.potential, 6.0 / cells)[..., 0] - exact).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("quadratic", [False, True], ids=["linear", "quadratic"])
def test_the_translator_carries_its_derivatives(quadratic):
    v, _ = data(sites=7)
    net = Translator(2, quadratic=quadratic, degree=2, generator=dice())
    values, rows = net.jacobian(None, flatten(net), v)
    torch.testing.assert_close(values, net(v).detach())
    wanted = torch.func.jacfwd(as_function(net))(flatten(net), v)
    torch.testing.assert_close(rows, wanted)


def test_three_numbers_and_a_linear_readout_are_exact():
    """The second symmetric power of the propagator, to third order in V."""
    net = Translator(3, degree=4)
    v = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], **F)
    t = propagator(v, A)
    (a, b), (c, d) = t[:, 0].mT, t[:, 1].mT
    rows = [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
    square = torch.stack([torch.stack(row, -1) for row in rows], -2)
    vander = v[:, None] ** torch.arange(5)
    with torch.no_grad():
        net.update.copy_(torch.linalg.solve(vander, square.flatten(1)).view(5, 3, 3))
        net.start.copy_(torch.tensor([1.0, 0.0, 0.0]))
        net.readout.copy_(torch.tensor([1.0, 0.0, 0.0]))
    potential, _ = data()
    assert (
        float(
            (net(potential.clamp(-2, 2)).detach() - waves(potential.clamp(-2, 2), A)[..., 0] ** 2).abs().max()
        )
        < 1e-7
    )
    wave = waves(v[:, None], A)[:, 0]
    torch.testing.assert_close(net.states(v[:, None])[:, 0], products(wave), atol=1e-12, rtol=0)


def test_three_numbers_are_learnt_and_two_are_not():
    potential, density = data()
    fits = {}
    for hidden, steps in ((2, 10), (3, 40)):
        net = Translator(hidden, generator=dice())
        fits[hidden] = fit_translator(net, potential, density, windows=(8, 20), steps=steps, tolerance=1e-10)
    assert fits[3].value < 1e-10
    assert fits[2].value > 1e-3
    trace = polynomial(net.update, torch.tensor([0.0, 1.0], **F)).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(trace, 4 * torch.cosh(torch.tensor([0.0, A], **F)) ** 2 - 1, atol=1e-4, rtol=0)


def test_a_distiller_can_be_exact():
    """With the square root as its encoder two numbers are enough."""
    potential = torch.tensor([[-1.0, 0.5, 1.0]], **F)
    net = Distiller(3, 2, degree=4)
    v = torch.linspace(-2, 2, 5, **F)
    with torch.no_grad():
        vander = v[:, None] ** torch.arange(5)
        net.update.copy_(torch.linalg.solve(vander, propagator(v, A).flatten(1)).view(5, 2, 2))
        net.decoder.copy_(torch.cat([torch.zeros(3, 3, **F), torch.eye(3, **F)]))
    rolled = net.roll(torch.tensor([[1.0, 0.0]], **F), potential)
    torch.testing.assert_close(rolled[:, 1:], waves(potential, A), atol=1e-9, rtol=0)
    torch.testing.assert_close(net.decode(rolled), products(rolled))


def test_windows_are_pieces_of_the_sequences():
    potential, _ = data()
    states = products(waves(potential, A))
    x, y = windows(states, potential, 4, 50, generator=dice())
    assert x.shape == (50, 3 + 4)
    assert y.shape == (50, 15)
    pieces = y.unflatten(1, (5, 3))
    torch.testing.assert_close(pieces[:, 0], x[:, :3])
    # the cone stays a cone
    torch.testing.assert_close(pieces[..., 0] * pieces[..., 2], pieces[..., 1] ** 2)
    assert 0.48 < float(x[:, :3].norm(dim=1).min()) < float(x[:, :3].norm(dim=1).max()) < 1.7


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_dimension_of_a_curved_sheet(dimension):
    inner = torch.rand(2000, dimension, generator=dice(), **F)
    sheet = torch.cat([inner, (3 * inner).sin(), inner.square().sum(1, keepdim=True)], 1)
    found, error = intrinsic_dimension(sheet)
    assert abs(found - dimension) < 4 * error + 0.05 * dimension
    assert error == pytest.approx(found / math.sqrt(2000))


def test_sparse_regression_forgets_what_is_small():
    library = torch.randn(400, 4, generator=dice(), **F)
    noise = 0.01 * torch.randn(400, 2, generator=dice(2), **F)
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.05, -2.0], [0.0, 0.0]], **F)
    found = sparse_regression(library, library @ truth + noise, threshold=0.02)
    torch.testing.assert_close(found != 0, truth != 0)
    torch.testing.assert_close(found, truth, atol=5e-3, rtol=0)
    strict = sparse_regression(library, library @ truth + noise, threshold=0.1)
    assert strict[2, 0] == 0
    assert (sparse_regression(library, library @ truth, threshold=9.0) == 0).all()
    shrunk = sparse_regression(library[:, :1], library[:, :1], threshold=0.0, ridge=400.0)
    expected = float(library[:, 0].square().sum())
    assert float(shrunk) == pytest.approx(expected / (expected + 400))


def bad_windows():
    potential, density = data(sites=20)
    return fit_translator(Translator(3), potential, density, windows=(10, 30))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (bad_windows, "windows: got 30, expected at most 20"),
        (lambda: windows(torch.ones(2, 5, 3), torch.ones(2, 5), 5, 4), "length: got 5, expected below 5"),
        (lambda: propagator(torch.zeros(3, **F), 0.0), "spacing: got 0, expected a finite number above 0"),
        (lambda: waves(torch.zeros(3, 4, **F), -0.1), "spacing: got -0.1"),
        (
            lambda: condensates(torch.zeros(1, 4, **F), 0.0, interaction=1.0, number=1.0),
            "spacing: got 0, expected",
        ),
        (
            lambda: condensates(torch.zeros(1, 4, **F), 0.1, interaction=-1.0, number=1.0),
            "interaction: got -1",
        ),
        (
            lambda: condensates(half_trap(20, 4.0)[1], 0.2, interaction=1.0, number=0.5, steps=2),
            "steps: got 2, after which a misfit of",
        ),
        (lambda: Distiller(3, 0), "latent: got 0, expected a whole number, at least 1"),
        (lambda: Translator(0), "hidden: got 0"),
        (lambda: potentials("steep", 1, 9, spacing=A), "kind: got 'steep', expected one of shallow, deep"),
        (lambda: intrinsic_dimension(torch.ones(4, 2, **F)), "points: got two at the same place"),
        (lambda: sparse_regression(torch.ones(4, 2), torch.ones(3, 1), threshold=0.1), "target: got shape"),
        (lambda: Translator(3)(torch.zeros(1, 4)), "potential: got torch.float32, expected torch.float64"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_distiller_trains():
    potential, _ = data()
    x, y = windows(
        products(waves(potential.clamp(-1, 1), A)), potential.clamp(-1, 1), 3, 60, generator=dice()
    )
    net = Distiller(3, 3, hidden=(4,), generator=dice())
    first = float((net(x) - y).detach().square().mean())
    fit = minimise(ConvexLoss(x, y, torch.full((60,), 2 / y.numel(), **F)), net, steps=8)
    assert fit.value < 0.1 * first
