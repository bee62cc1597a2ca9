"""nnbook: the library behind the executable book *Neural Networks, Quantum Systems and Gravity*.

Each chapter ``chapters/NAME.ipynb`` reads from one module ``nnbook/NAME.py``; the other modules are
the verbs that the chapters share. ``run = nnbook.start(seed=1)`` is the first line of every chapter.
"""

from nnbook.runtime import Run, start

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "start"]
