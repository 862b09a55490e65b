"""How often tests repeat what goes wrong rarely."""

import os


def times(few, many):
    """A few in each run of the tests, many with ``SKMLP_LONG_TESTS=1``."""
    return many if os.environ.get("SKMLP_LONG_TESTS") == "1" else few
