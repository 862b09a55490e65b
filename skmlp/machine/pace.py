"""How many threads a run of blocks gets, and how many blocks, by measured speed.

Threads that wait for each other can be slower than one: on a machine that is busy, or
where there is little to do between two meetings. Results depend on neither number, so
that both may follow the clock.
"""

from functools import cache
from math import inf
from threading import Lock
from time import perf_counter

RUN_SECONDS = 0.03  # length of a run: how long Ctrl-C may wait
_FLOPS_PER_SECOND = 5e9  # a cautious guess, until a run has been measured
_TRY_SECONDS = 0.004  # length of a run that tries fewer threads
_LOSS = 0.01  # share of the time that trials may cost
_MEMORY = 0.5  # weight of the previous measurement
_FADING_SECONDS = 0.03  # half-life of that weight between runs
_DELAY_SECONDS = 0.01  # of a team's run: its threads wait for other processes
_OUTLIER = 2  # times as long, at most, counts a short run: it may be interrupted


@cache
def _halves(most):
    """So many threads, half of them, and so on down to one."""
    return [most >> i for i in range(most.bit_length())]


class Pace:
    """Seconds per block, for each number of threads.

    Parameters
    ----------
    block_flops : float
        Of one block, about.
    """

    def __init__(self, block_flops):
        self._guess = block_flops / _FLOPS_PER_SECOND
        self._seconds, self._measured_at, self._next_try = {}, {}, {}
        self._n_runs, self._first_try, self._skipped = 0, inf, 0.0
        self._lock = Lock()

    def choose(self, most):
        """Number of threads, at most ``most``, and of blocks for the next run."""
        with self._lock:
            return self._choose(most)

    def measured(self, size, n_blocks, seconds, *, is_first=False):
        """Learn from a run, but not if it is short and the first of new threads.

        To these memory has to be moved yet. If all runs are first ones, half count.
        """
        with self._lock:
            if is_first and seconds < _TRY_SECONDS and not self._skipped:
                self._skipped = seconds
            else:
                self._learn(size, n_blocks, max(seconds, 1e-9) / n_blocks)
                self._skipped = 0.0

    def _choose(self, most):
        if most == 1:
            return 1, self._blocks_of_run(1, RUN_SECONDS)
        sizes, known = _halves(most), self._seconds
        best = min(sizes, key=lambda size: known.get(size, inf))
        if best in known:
            other = min((size for size in sizes if size != best), key=self._due)
            if self._due(other) <= perf_counter():
                return other, self._blocks_of_try(other, best)
        return best, self._blocks_of_run(best, RUN_SECONDS)

    def _learn(self, size, n_blocks, latest):
        if self._n_runs == 1:
            self._seconds.clear()  # the first run also loaded kernels and mapped memory
            self._first_try = perf_counter() + _TRY_SECONDS
        self._n_runs += 1
        before = self._seconds.get(size, latest)
        counts = min(latest, _OUTLIER * before)
        is_delayed = size > 1 and n_blocks * (latest - before) >= _DELAY_SECONDS
        if is_delayed or n_blocks * latest >= RUN_SECONDS:
            counts = latest
        now = perf_counter()
        pause = max(now - n_blocks * latest - self._measured_at.get(size, now), 0)
        memory = _MEMORY * 0.5 ** (pause / _FADING_SECONDS)
        self._seconds[size] = memory * before + (1 - memory) * counts
        self._measured_at[size] = now
        if len(self._seconds) > 1:
            best = min(self._seconds, key=self._seconds.get)
            slower_by = max(self._seconds[size], latest) - self._seconds[best]
            lost = min(n_blocks, self._blocks_of_try(size, best)) * slower_by
            lost += self._skipped  # starting these threads
            self._next_try[size] = now + max(lost / _LOSS, RUN_SECONDS)

    def _due(self, size):
        return self._next_try.get(size, self._first_try)

    def _blocks_of_try(self, size, best):
        """Few, but enough to make up for the start of threads."""
        seconds = _TRY_SECONDS if size < best else RUN_SECONDS
        return self._blocks_of_run(size if size in self._seconds else best, seconds)

    def _blocks_of_run(self, size, seconds):
        return max(1, int(seconds / self._seconds.get(size, self._guess)))
