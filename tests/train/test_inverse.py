"""Regularised least squares: the linear answer, the choice of the strength, what is refused."""

import pytest
import torch

from nnbook.train.inverse import choose, invert

F = {"dtype": torch.float64}


def blurred(noise=1e-3, n=40, p=20):
    """A smooth function seen through a broad kernel."""
    x, y = torch.linspace(0, 1, p, **F), torch.linspace(0, 1, n, **F)
    kernel = torch.exp(-(((y[:, None] - x) / 0.1) ** 2)) / p
    truth = torch.sin(3 * x)
    dice = torch.Generator().manual_seed(1)
    data = kernel @ truth + noise * torch.randn(n, generator=dice, **F)
    second = torch.eye(p, **F).diff(2, dim=0) * p**1.5
    return lambda t: ((kernel @ t - data) / noise, kernel / noise), truth, second


def test_linear_problem_is_solved_exactly_at_each_strength():
    linearised, truth, second = blurred()
    for one in invert(linearised, torch.zeros_like(truth), second, strengths=[1e-6, 1e-2], tolerance=1e-14):
        r, j = linearised(torch.zeros_like(truth))
        curvature = j.mT @ j / len(r) + one.strength * second.mT @ second
        assert one.params == pytest.approx(-torch.linalg.solve(curvature, j.mT @ r / len(r)), abs=1e-5)
        assert one.degrees == pytest.approx(
            float(torch.linalg.solve(curvature, j.mT @ j / len(r)).trace()), rel=1e-6
        )


def test_cross_validation_finds_a_strength_that_is_near_the_best():
    linearised, truth, second = blurred()
    found = invert(
        linearised, torch.zeros_like(truth), second, strengths=[10.0**k for k in range(0, -13, -1)]
    )
    errors = [float((one.params - truth).square().mean()) for one in found]
    chosen = found.index(choose(found))
    assert 0 < chosen < len(found) - 1
    assert errors[chosen] < 4 * min(errors)
    assert errors[chosen] < 0.03 * max(errors)
    assert choose(found).misfit == pytest.approx(1, abs=0.3)


def test_error_bars_cover_the_truth():
    linearised, truth, second = blurred()
    best = choose(invert(linearised, torch.zeros_like(truth), second, strengths=[1e-3, 1e-4, 1e-5]))
    pulls = (best.params - truth) / best.covariance.diagonal().sqrt()
    assert pulls.abs().max() < 4
    assert best.spectrum[0] > best.spectrum[-1] > 0
    assert "numbers fixed" in repr(best)


def test_curved_problem_is_solved():
    def linearised(t):
        return torch.stack([t[0].exp() - 2, t[0] * t[1] - 1]), torch.stack(
            [torch.stack([t[0].exp(), 0 * t[0]]), torch.stack([t[1], t[0]])]
        )

    [one] = invert(linearised, torch.tensor([3.0, -2.0], **F), torch.zeros(1, 2, **F), strengths=[1.0])
    assert one.params == pytest.approx(
        torch.tensor([2.0, 0]).log()[:1].repeat(2).pow(torch.tensor([1, -1])), abs=1e-6
    )
    assert one.score == float("inf")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strengths": []}, "strengths: got 0"),
        ({"strengths": [0.0]}, "strengths: got 0"),
        ({"start": torch.zeros(2, 2, **F)}, "start: got shape"),
        ({"penalty": torch.zeros(3, 5, **F)}, "penalty: got shape"),
        ({"linearised": lambda t: (t * torch.nan, torch.eye(20, **F))}, "residuals: got NaN"),
        ({"linearised": lambda t: (t, torch.eye(19, **F))}, "jacobian: got shape"),
    ],
    ids=["no-strength", "zero", "start", "penalty", "nan", "jacobian"],
)
def test_bad_input_is_named(changed, message):
    linearised, truth, second = blurred()
    given = {"linearised": linearised, "start": 0 * truth, "penalty": second, "strengths": [1.0]}
    with pytest.raises(ValueError, match=message):
        invert(**given | changed)


def test_nothing_to_choose_from():
    with pytest.raises(ValueError, match="found: got 0"):
        choose([])
