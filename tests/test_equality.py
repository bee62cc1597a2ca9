"""Objects of the library can be compared with ``==``, whatever they hold."""

import dataclasses
import importlib
import pkgutil
import re

import pytest

import nnbook

# == of two tensors, or of two arrays, is many answers: asked for one, it raises
MANY = re.compile(r"\b(Tensor|Array|ArrayLike|NDArray|Field|Module|MLP)\b")


def declared():
    for module in pkgutil.walk_packages(nnbook.__path__, "nnbook."):
        for kind in vars(importlib.import_module(module.name)).values():
            if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == module.name:
                yield pytest.param(kind, id=f"{module.name}.{kind.__name__}")


@pytest.mark.parametrize("kind", list(declared()))
def test_what_holds_numbers_of_any_count_is_equal_to_itself_only(kind):
    numbers = (f for f in dataclasses.fields(kind) if f.compare and MANY.search(f.type))
    held = [f.name for f in numbers if "Callable" not in f.type]
    assert not (kind.__dataclass_params__.eq and held), f"{kind.__name__}: write eq=False, it holds {held}"
