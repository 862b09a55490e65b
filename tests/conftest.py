"""Set before scipy is imported: scikit-learn's array API check is skipped without."""

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")
