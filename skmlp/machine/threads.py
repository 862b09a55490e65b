"""Threads that run a kernel together, as many as there is room for.

Results do not depend on how many there are, so that each run may have another number:
what is fastest, and fits that run at the same time, in threads of the user's, share
what is allowed.
"""

import _thread
import ctypes
import os
from collections import Counter
from contextlib import suppress
from functools import lru_cache, partial
from math import inf
from threading import Lock, get_ident
from time import perf_counter

from joblib import cpu_count

from skmlp.machine import blas
from skmlp.machine.jit import DISABLED
from skmlp.machine.pace import RUN_SECONDS, Pace
from skmlp.machine.room import os_thread
from skmlp.machine.team import ALONE, Limits, dismiss, is_dismissed, make_seats

_MOST = 8
_TURN_SECONDS = 4e-4  # shorter runs are measured together
_CROWD_SECONDS = 0.03  # for which concurrent fits are remembered
_FLOPS_FOR_A_THREAD = 2e7  # with less, starting one takes longer than it saves
_ARRIVAL_SECONDS = 1e-3  # that a run waits for helpers just started
_RETURN_SECONDS = 1e-4  # that a run waits for helpers of the previous run
_FIRST_BLOCKS = 2  # of threads just started, which may find the machine busy
_PATIENCE_SECONDS = 1e-3  # that a helper waits for the next run
_LEAVING_SECONDS = 0.01  # that leaving helpers are waited for
_STALL_SECONDS = 8e-3  # at all barriers of a run, until it ends early
_LOST_SECONDS = 3.0  # at a barrier, until a thread counts as lost

_current_core = None
if hasattr(os, "sched_setaffinity"):  # Linux, for one
    with suppress(AttributeError, OSError):
        _current_core = ctypes.CDLL(None).sched_getcpu


class _Running:
    """The user's threads that have work for several threads."""

    def __init__(self):
        self._works, self._lock, self._before = Counter(), Lock(), (0, -inf)

    @property
    def count(self):
        return len(self._works)

    def latest(self, now):
        """How many there are or were a moment ago: fits often follow each other."""
        before, end = self._before
        # A forked child may continue a run that only its parent has counted.
        return max(before if now < end + _CROWD_SECONDS else 0, self.count, 1)

    def begin(self):
        with self._lock:
            self._works[get_ident()] += 1

    def end(self):
        with self._lock:
            if self.count > 1:
                self._before = self.count, perf_counter()
            self._works -= Counter([get_ident()])


def _begin_anew():
    """Forget all runs: those of a parent do not go on in its forked child.

    What is known of the pace is shared by all runs of the same work: the fits of a
    search or of cross-validation need not find out anew, each by itself.
    """
    global _running, _pace_of
    _running, _pace_of = _Running(), lru_cache(maxsize=256)(Pace)


_begin_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def n_threads():
    """How many are allowed just now: as many as OpenMP and BLAS may use.

    Not more than the processors that a container's quota, or the mask of the process,
    leaves to it.
    """
    n_processors = _n_processors(int(perf_counter()))
    return min([*blas.limits_of_openmp(), *blas.limits(), n_processors])


@lru_cache(maxsize=1)
def _n_processors(second):
    """Processors that joblib counts, once a second: it reads files, which takes longer
    than predicting a row.

    As in scikit-learn, threads of one core count once, unless the user says otherwise.
    """
    return cpu_count(only_physical_cores="OMP_NUM_THREADS" not in os.environ)


class Threads:
    """The thread that calls, and others, for as long as the context is entered.

    Parameters
    ----------
    n_pieces : int
        Of the work that can be done at the same time.
    block_flops : float
        Of one block of the work, about.
    n_blocks : int
        Of all work in this context.
    stay : bool, default=False
        Whether the others wait a while for the next run, which then is the same call
        of ``work`` for them, until there is a run without them; else they are there for
        one run only.

    Attributes
    ----------
    most : int
        How many threads there may be.
    is_lost : bool
        Whether the others were waited for in vain within a run. The calling thread is
        alone from then on; arrays that others write to must be given up.
    """

    def __init__(self, n_pieces, block_flops, n_blocks, *, stay=False):
        worthwhile = int(n_blocks * block_flops / _FLOPS_FOR_A_THREAD)
        shared = min(n_pieces, worthwhile) > 1 and not DISABLED
        self.most = min(n_pieces, worthwhile, _MOST, n_threads()) if shared else 1
        self._pace = _pace_of(block_flops)
        self._stay, self._crew, self._turn, self._allowed = stay, None, None, 1
        self.is_lost = False

    def __enter__(self):
        self._allowed, self._look_again = self.most, -inf
        if self._allowed > 1:
            _running.begin()
        return self

    def __exit__(self, *error):
        if self._allowed > 1:
            _running.end()
        self._allowed = 1
        self._end_turn()
        self.dismiss()

    def run(self, work, first, stop):
        """Call ``work(seat, first, last)`` in each thread, for some of the blocks.

        Parameters
        ----------
        work : callable
            Does the blocks from ``first`` up to ``last``, together with the others that
            come. In the calling thread it returns which block is the next, or -1 minus
            that if another thread was lost.
        first, stop : int
            Which blocks are left.

        Returns
        -------
        reached : int
            Which block is the next.
        """
        if self.most == 1 and stop - first == 1:  # nothing to choose or to measure
            return work(ALONE, first, stop)
        if self._turn is None:
            self._turn = _Turn(*self._pace.choose(self._most_now()))
        turn, crew, started = self._turn, self._crew, perf_counter()
        starts = self._stay and turn.size > 1 and not self._has_crew(turn.size)
        n_blocks = min(turn.n_left, _FIRST_BLOCKS) if starts else turn.n_left
        last = min(first + n_blocks, stop)
        reached = self._work_together(partial(work, first=first, last=last), turn.size)
        if reached < 0:
            self._go_on_alone()
            return -1 - reached
        turn.n_done += reached - first
        turn.seconds += perf_counter() - started
        is_first, ended_early = self._crew is not crew, reached < last
        is_over = turn.n_left == 0 or turn.seconds >= _TURN_SECONDS
        if is_first or ended_early or is_over:
            self._end_turn(is_first=is_first)
        return reached

    def _has_crew(self, size):
        """Whether so many threads wait for the next run."""
        crew = self._crew
        return crew is not None and crew.size == size and not crew.has_left

    def _go_on_alone(self):
        self.is_lost, self._turn = True, None
        self.dismiss()

    def _end_turn(self, *, is_first=False):
        turn, self._turn = self._turn, None
        if turn is not None and turn.n_done > 0:
            measured = turn.size, turn.n_done, turn.seconds
            self._pace.measured(*measured, is_first=is_first)

    def _most_now(self):
        """How many threads the next run may have, beside those of other works."""
        if self._allowed == 1 or self.is_lost:
            return 1
        now = perf_counter()
        if now >= self._look_again:  # once per long run
            self._limit, self._look_again = n_threads(), now + RUN_SECONDS
        return max(min(self._allowed, self._limit // _running.latest(now)), 1)

    def _work_together(self, work, size):
        if not self._has_crew(size):
            self.dismiss()  # waiting helpers would take up cores
        if size == 1 or not self._stay:
            return run_together(work, size)
        if self._crew is None:
            self._crew = _Crew(work, size)
        return work(self._crew.seat)

    def dismiss(self):
        """Dismiss the threads that stay between runs."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.dismiss()


class _Turn:
    """Runs of some blocks by as many threads, that are measured together."""

    def __init__(self, size, n_blocks):
        self.size, self._n_blocks = size, n_blocks
        self.n_done, self.seconds = 0, 0.0

    @property
    def n_left(self):
        return self._n_blocks - self.n_done


class _Cores:
    """The cores that the threads of a team run on, as far as the system tells.

    On virtual machines Linux holds cores that have slept for a while for busy: it puts
    a new thread on the core of the thread that starts it, and moves it only after tens
    of milliseconds, in which both wait for each other all the time.
    """

    def __init__(self):
        self._taken, self._lock = set(), Lock()

    def take(self):
        """Take a core for this thread that no other one has, if it can be had."""
        if _current_core is None:
            return
        with self._lock:
            if _current_core() in self._taken:
                self._leave_taken()
            self._taken.add(_current_core())

    def _leave_taken(self):
        allowed = os.sched_getaffinity(0)
        with suppress(OSError):  # not permitted, or there is no other core
            try:
                os.sched_setaffinity(0, allowed - self._taken)
            finally:
                os.sched_setaffinity(0, allowed)


class _Crew:
    """Threads that call ``work(seat)``, beside the one that starts them.

    Nothing here waits for them without limit: they may come late, or never.

    Attributes
    ----------
    size : int
        How many threads there were to be.
    seat : Seat
        The calling thread's, alone where no other could be started.
    """

    def __init__(self, work, size):
        self._work, self.size, self._caller = work, size, os_thread()
        limits = Limits(
            arrival=_ARRIVAL_SECONDS,
            back=_RETURN_SECONDS,
            patience=_PATIENCE_SECONDS,
            lost=_LOST_SECONDS,
            stall=_STALL_SECONDS,
        )
        (seat, *others), self._board = make_seats(size, limits)
        self._cores, self._at_work = _Cores(), []
        self._cores.take()
        with suppress(RuntimeError):  # the system has no more threads
            for other in others:
                self._start_helper(other)
        n_helpers = len(self._at_work)
        self.seat = seat._replace(size=1 + n_helpers) if n_helpers else ALONE

    def _start_helper(self, seat):
        at_work = _thread.allocate_lock()
        at_work.acquire()
        # `threading.Thread.start` waits until the thread runs, which takes longer
        # than a small fit while another thread holds the GIL.
        _thread.start_new_thread(self._help, (seat, at_work))
        self._at_work.append(at_work)

    def _help(self, seat, at_work):
        try:
            work = self._work
            if work is not None and os_thread() != self._caller:
                self._cores.take()
                work(seat)
        finally:
            at_work.release()

    @property
    def has_left(self):
        """Whether the helpers have left, after waiting in vain for a run."""
        return is_dismissed(self._board)

    def dismiss(self):
        """Dismiss the helpers, and wait briefly until they have left."""
        self._work = None
        dismiss(self._board)
        for at_work in self._at_work:
            if not at_work.acquire(timeout=_LEAVING_SECONDS):
                return


def run_together(work, size):
    """Call ``work(seat)`` in ``size`` threads; returns the calling thread's result."""
    if size == 1:
        return work(ALONE)
    crew = _Crew(work, size)
    try:
        return work(crew.seat)
    finally:
        crew.dismiss()
