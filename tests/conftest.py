"""Set before scipy and BLAS are loaded."""

import os

# Without it, scikit-learn's check of the array API is skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Test processes side by side would wait for each other's BLAS threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
