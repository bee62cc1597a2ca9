"""What all tests share: no window."""

import matplotlib

matplotlib.use("Agg")
