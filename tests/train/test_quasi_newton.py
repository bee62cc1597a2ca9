"""BFGS from many starts: known minima, the best start, resumed runs."""

import numpy as np
import pytest
import torch

from nnbook.train.quasi_newton import descend

STARTS = torch.tensor([[1.2, 1.0], [-0.8, 0.3], [0.9, -1.0]], dtype=torch.float64)
LEFT = float(min(np.roots([4, 0, -4, 0.2]).real))


def tilted(x):
    """Two wells, the left one deeper."""
    u, v = x.T
    return (u**2 - 1) ** 2 + 0.2 * u + v**2, torch.stack([4 * u * (u**2 - 1) + 0.2, 2 * v], 1)


def rosenbrock(x):
    """A bent valley in any number of dimensions, with its minimum 0 at ones."""
    x = x.detach().requires_grad_()
    a, b = x[:, :-1], x[:, 1:]
    value = (100 * (b - a**2) ** 2 + (1 - a) ** 2).sum(1)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def test_the_best_start_is_kept():
    fit, losses, params = descend(tilted, STARTS)
    best = int(losses.argmin())
    assert best == 1
    assert params[best].numpy() == pytest.approx([LEFT, 0], abs=1e-8)
    assert fit.value == losses[best] == fit.history["value"][-1]
    assert losses[0] == pytest.approx(float(losses[2]), abs=1e-12)
    assert fit.converged
    assert fit.reason.startswith("best of 3 starts")
    assert (np.diff(fit.history["value"]) <= 0).all()
    assert torch.equal(STARTS, STARTS.clone())


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_a_bent_valley_is_followed_to_its_end(dim):
    starts = torch.rand(5, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
    fit, losses, params = descend(rosenbrock, starts)
    assert fit.converged
    assert fit.steps < 40 * dim
    assert losses.max() < 1e-16
    assert (params - 1).abs().max() < 1e-7
    alone = [descend(rosenbrock, start[None])[1] for start in starts]
    assert torch.cat(alone) == pytest.approx(losses.numpy(), abs=1e-16)


def test_kinks_do_not_stop_it():
    def loss(x):
        return x.abs().sum(1) + x.square().sum(1), x.sign() + 2 * x

    assert descend(loss, STARTS, steps=200)[1].max() < 1e-8


def test_a_run_that_was_cut_short_says_so_and_goes_on(tmp_path):
    whole = descend(rosenbrock, STARTS)
    cut = descend(rosenbrock, STARTS, steps=5, checkpoint=tmp_path / "run")
    assert (cut[0].steps, cut[0].converged) == (5, False)
    again = descend(rosenbrock, STARTS, checkpoint=tmp_path / "run")
    assert again[0].steps == whole[0].steps
    assert torch.equal(again[2], whole[2])
    with pytest.raises(ValueError, match="expected the same data"):
        descend(tilted, STARTS, checkpoint=tmp_path / "run")


def test_a_start_without_a_loss_is_left_out():
    starts = torch.cat([torch.full((1, 2), torch.nan, dtype=torch.float64), STARTS])
    fit, losses, _ = descend(tilted, starts)
    assert np.isfinite(fit.value)
    assert (losses[0], losses.argmin()) == (torch.inf, 2)
    with pytest.raises(ValueError, match="starts: got none with a finite loss"):
        descend(tilted, starts[:1])


def test_starts_of_a_wrong_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"starts: got shape \(2,\) of torch.float64, expected \(starts, k\)"
    ):
        descend(tilted, STARTS[0])
    with pytest.raises(ValueError, match=r"of torch.int64, expected \(starts, k\), one vector of real"):
        descend(tilted, STARTS.long())


def test_converged_means_the_stated_tolerance():
    for tolerance in (1e-3, 1e-6, 1e-9):
        fit, _, params = descend(rosenbrock, STARTS, tolerance=tolerance)
        slope = float(rosenbrock(params)[1].abs().amax(1)[rosenbrock(params)[0].argmin()])
        assert fit.converged == (slope <= tolerance)
    fit = descend(rosenbrock, STARTS, tolerance=0.0)[0]
    assert not fit.converged or "slope 0e+00" in fit.reason


@pytest.mark.parametrize("tolerance", [float("nan"), -1.0, float("inf")])
def test_a_tolerance_that_is_none(tolerance):
    with pytest.raises(ValueError, match=r"tolerance: got .*, expected a finite number, at least 0"):
        descend(tilted, STARTS, tolerance=tolerance)
