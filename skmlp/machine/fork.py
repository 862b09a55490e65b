"""Locks that no child inherits from another thread of its parent."""

import os


def hold_at_fork(lock):
    """Hold the lock during each fork, so that no child inherits it taken.

    The child would inherit a lock that nobody holds any more, and wait for it for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )
