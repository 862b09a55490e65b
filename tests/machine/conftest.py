import numpy as np
import pytest


@pytest.fixture(autouse=True)
def silent_arithmetic():
    """Kernels never warn of overflow; with the JIT off NumPy would."""
    with np.errstate(all="ignore"):
        yield
