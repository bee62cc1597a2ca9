"""The leaf of the chapter on learning from data: the pinned nuclei, and spins in a field."""

import pytest
import torch

from nnbook.exact.enumerate import configurations
from nnbook.fields.actions import Ising
from nnbook.learning_basics import field_response, nuclear_masses

F = {"dtype": torch.float64}


@pytest.fixture(scope="module")
def data():
    return nuclear_masses()


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


def test_response_in_a_field_against_enumeration():
    generator = torch.Generator().manual_seed(3)
    for length, batch in ((2, 6), (3, 6), (4, 3)):
        model = Ising(length, 0.4)
        s = torch.from_numpy(configurations(length**2))
        h = 3 * torch.randn(batch, length**2, generator=generator, **F)
        exact = (h @ s.mT - model(s)).softmax(1) @ s
        torch.testing.assert_close(field_response(h, 0.4, length), exact)
    strong = torch.full((1, 16), 800.0, **F)
    torch.testing.assert_close(field_response(strong, 0.4, 4), torch.ones(1, 16, **F))


@pytest.mark.parametrize(
    ("sites", "length", "message"),
    [(49, 7, "length: got 7, expected at most 6"), (4, 3, "h: got shape")],
    ids=["rows", "sites"],
)
def test_wrong_input_says_so(sites, length, message):
    with pytest.raises(ValueError, match=message):
        field_response(torch.ones(1, sites, **F), 0.4, length)


@pytest.mark.parametrize(
    ("text", "message"), [("z,n\n", "columns 'z,n'"), ("{}\n1,2,3\n", "got 3 cells in row 0")]
)
def test_a_file_of_another_form(tmp_path, text, message):
    path = tmp_path / "masses.csv"
    path.write_text(text.format("z,n,ame2012,ame2020,error,listed,duzu"))
    with pytest.raises(ValueError, match=message):
        nuclear_masses(path)
