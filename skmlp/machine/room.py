"""Calls that need more room on the stack than a thread of the user's may have."""

import ctypes
import threading

from skmlp.machine.fork import hold_at_fork

_STACK_BYTES = 1 << 23  # as main threads usually have
_ENOUGH_BYTES = 1 << 19
_starting = threading.Lock()  # the size is that of all threads that start meanwhile
hold_at_fork(_starting)

os_thread = ctypes.pythonapi.PyThread_get_thread_ident
os_thread.restype = ctypes.c_ulong


def with_room(function):
    """Call ``function()`` with enough room on the stack.

    Numba and LLVM would run past the end of a small stack.  The main thread, which
    answers Ctrl-C, has a large one; for all others there is a thread of its own.
    """
    if _has_room():
        return function()
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    # Not a daemon: the process must not end, and unload LLVM, while it compiles.
    thread = threading.Thread(target=call, name="skmlp compiler", daemon=False)
    if not _start(thread):
        return function()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def is_green():
    """Whether gevent or eventlet have put parts of one thread in the place of threads:
    a new one would be no other one of the system's, and run when this one waits."""
    return threading.get_ident() != os_thread()


def _has_room():
    """Whether this is the main thread, or no other could be had."""
    return is_green() or threading.main_thread().ident == threading.get_ident()


def _start(thread):
    """Whether there could be one more thread, or else the present one will do."""
    with _starting:
        before = threading.stack_size(_STACK_BYTES)
        try:
            thread.start()
        except RuntimeError as error:
            if 0 < before < _ENOUGH_BYTES:
                raise RuntimeError(
                    "Compiling needs more room on the stack than threads have here"
                    f" ({before} bytes), and no other thread could be started."
                    " Compile in the main thread, by a small fit, before."
                ) from error
            return False
        finally:
            threading.stack_size(before)
    return True
