"""Steps of stochastic reconfiguration: normal equations in both forms, invariances, the enumerated metric."""

import math

import numpy as np
import pytest
import torch

from nnbook.networks import as_function, flatten
from nnbook.spins.hamiltonians import heisenberg, ising
from nnbook.spins.lattices import chain
from nnbook.spins.states import Amplitude, RestrictedBoltzmannMachine
from nnbook.train.reconfiguration import natural_step

dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def drawn(*shape, seed=1, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("h", [ising(chain(6), field=1.0), heisenberg(chain(6))], ids=lambda h: h.name)
def test_step_from_many_samples_is_that_of_the_linear_method_s_metric(h):
    """Gradient and metric of RayleighQuotient, which enumerates, give the same step as samples do."""
    state = RestrictedBoltzmannMachine(6, 2, scale=0.3, generator=torch.Generator().manual_seed(1))
    p = (2 * state(h.basis).detach()).softmax(0)
    rows = torch.repeat_interleave(torch.arange(len(p)), (200_000 * p).round().long())
    energies, derivatives = h.local_energies(h.walkers(state, h.basis)), state.derivatives(h.basis).detach()
    step, _ = natural_step(derivatives[rows], energies[rows], shift=0.1, relative=0.0)
    expansion = h.problem().expand(as_function(Amplitude(state)), flatten(state))
    damped = expansion.metric + 0.1 * torch.eye(len(step), dtype=torch.float64)
    torch.testing.assert_close(step, torch.linalg.solve(damped, expansion.gradient), rtol=1e-3, atol=1e-4)


@dtypes
@pytest.mark.parametrize(("samples", "parameters"), [(30, 12), (12, 30), (20, 20)])
@pytest.mark.parametrize(("shift", "relative"), [(1e-3, 1e-3), (1e-2, 0.0), (1e-4, 0.1)])
def test_both_forms_solve_the_normal_equations(samples, parameters, shift, relative, dtype):
    o, e = drawn(samples, parameters, dtype=dtype) + 3, drawn(samples, seed=2, dtype=dtype) - 50
    on, en = o.numpy(), e.numpy()
    s = on.conj().T @ on / samples - np.outer(on.conj().mean(0), on.mean(0))
    f = on.conj().T @ en / samples - on.conj().mean(0) * en.mean()
    expected = np.linalg.solve(s + np.diag(shift + relative * s.diagonal().real), f)
    length = math.sqrt((expected.conj() @ s @ expected).real)
    for form in ("parameters", "samples", "auto"):
        step, angle = natural_step(o, e, shift=shift, relative=relative, form=form)
        np.testing.assert_allclose(step.numpy(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
        assert angle == pytest.approx(length, rel=1e-9)


def test_real_energies_of_a_complex_state():
    o, e = drawn(30, 6, dtype=torch.complex128), drawn(30, seed=2)
    torch.testing.assert_close(natural_step(o, e)[0], natural_step(o, e.to(o.dtype))[0])


def test_auto_takes_the_smaller_matrix(monkeypatch):
    sizes, solve = [], torch.linalg.cholesky_ex
    monkeypatch.setattr(torch.linalg, "cholesky_ex", lambda m: (sizes.append(len(m)), solve(m))[1])
    natural_step(drawn(30, 12), drawn(30))
    natural_step(drawn(12, 30), drawn(12))
    assert sizes == [12, 12]


@dtypes
def test_step_is_unchanged_by_constants_and_order_and_scales_with_the_energy(dtype):
    """Norm and phase of the wave function, and the zero of the energy, do not matter."""
    o, e = drawn(40, 9, dtype=dtype), drawn(40, seed=2, dtype=dtype)
    plain, angle = natural_step(o, e)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    moved, _ = natural_step((o + drawn(9, seed=3, dtype=dtype))[order], (e + 7)[order])
    torch.testing.assert_close(moved, plain, rtol=1e-9, atol=1e-10)
    double, twice = natural_step(o, 2 * e)
    torch.testing.assert_close(double, 2 * plain, rtol=1e-12, atol=1e-13)
    assert twice == pytest.approx(2 * angle)


@dtypes
def test_change_of_the_function_does_not_depend_on_the_parameters_as_the_shift_goes_to_zero(dtype):
    """With theta = A phi the derivatives become O A, and A times the step in phi is the step in theta."""
    o, e, a = drawn(60, 8, dtype=dtype), drawn(60, seed=2, dtype=dtype), drawn(8, 8, seed=3, dtype=dtype)
    gaps = []
    for shift in (1e-3, 1e-5, 1e-7):
        plain, _ = natural_step(o, e, shift=shift, relative=0.0)
        other, _ = natural_step(o @ a, e, shift=shift, relative=0.0)
        gaps.append((a @ other - plain).abs().max().item() / plain.abs().max().item())
    assert gaps[0] > 1e-3 > gaps[2]
    assert np.polyfit([-3, -5, -7], np.log10(gaps), 1)[0] == pytest.approx(1, abs=0.2)


def test_relative_shift_does_not_depend_on_the_scale_of_parameters():
    o, e, scale = drawn(60, 8), drawn(60, seed=2), 10.0 ** torch.arange(-4, 4).double()
    plain, _ = natural_step(o, e, shift=1e-20, relative=0.05)
    other, _ = natural_step(o * scale, e, shift=1e-20, relative=0.05)
    torch.testing.assert_close(scale * other, plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("form", ["parameters", "samples"])
def test_parameter_that_no_sample_feels_stays_and_an_eigenstate_too(form):
    o = drawn(40, 5)
    o[:, 2] = 7.0
    step, _ = natural_step(o, drawn(40, seed=2), form=form)
    assert step[2].abs() < 1e-11
    assert bool(step.isfinite().all())
    step, angle = natural_step(o, torch.full((40,), -3.0, dtype=torch.float64), form=form)
    assert (step.abs().max(), angle) == (0, 0)


@pytest.mark.parametrize("form", ["parameters", "samples"])
def test_shift_that_the_precision_does_not_see_is_named(form):
    o = drawn(20, 1, dtype=torch.float32).repeat(1, 40)
    step = natural_step(o, drawn(20, dtype=torch.float32), shift=1e-3, relative=0.0, form=form)[0]
    assert bool(step.isfinite().all())
    with pytest.raises(FloatingPointError, match=r"not positive in torch.float32: .* raise the shift"):
        natural_step(1e4 * o, 1e30 * o[:, 0], shift=1e-30, relative=0.0, form=form)


@pytest.mark.parametrize("form", ["parameters", "samples"])
def test_step_lives_where_its_inputs_live(form):
    step, _ = natural_step(drawn(9, 4, dtype=torch.float32), drawn(9, dtype=torch.float32), form=form)
    assert step.dtype == torch.float32


@pytest.mark.parametrize(
    ("derivatives", "energies", "options", "message"),
    [
        ((20, 3), drawn(20), {"shift": 0.0}, r"shift: got 0, expected a finite number above 0; without it S"),
        ((20, 3), drawn(20), {"relative": -0.1}, r"relative: got -0.1, expected a finite number, at least 0"),
        (
            (20, 3),
            drawn(20),
            {"form": "dual"},
            r"form: got 'dual', expected 'auto', 'parameters' or 'samples'",
        ),
        ((20, 3), drawn(19), {}, r"energies: got shape \(19,\) with derivatives .*, expected \(samples"),
        ((20, 3), drawn(20).long(), {}, "energies: got torch.int64, expected single or double precision"),
        ((20,), drawn(20), {}, r"energies: got shape .* expected \(samples"),
        ((20, 3), drawn(20, 1), {}, r"energies: got shape .* expected \(samples"),
        (
            (20, 3),
            drawn(20, dtype=torch.complex128),
            {},
            r"energies: got torch.complex128 .*dtype=torch.compl",
        ),
    ],
)
def test_bad_input_is_named(derivatives, energies, options, message):
    with pytest.raises(ValueError, match=message):
        natural_step(drawn(*derivatives), energies, **options)


def test_momentum_is_where_the_damping_pulls():
    o, e, last = (
        torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        for shape in ((9, 20), (9,), (20,))
    )
    x, f = (o - o.mean(0)) / 3, (e - e.mean()) / 3
    direct = torch.linalg.solve(x.T @ x + 0.1 * torch.eye(20, dtype=x.dtype), x.T @ f + 0.1 * last)
    for form in ("parameters", "samples"):
        step, _ = natural_step(o, e, shift=0.1, relative=0.0, form=form, momentum=last)
        torch.testing.assert_close(step, direct)
