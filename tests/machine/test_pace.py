"""Numbers of threads and lengths of runs, on a clock of our own."""

import pytest

from skmlp.machine import pace
from skmlp.machine.pace import RUN_SECONDS, Pace


class Machine:
    """Runs blocks in as many seconds as it is told, and keeps what it ran."""

    def __init__(self, monkeypatch, most, *, block_flops=1e6):
        self.now, self.most, self.seconds = 100.0, most, {}
        self.runs = []
        self.pace = Pace(block_flops)
        monkeypatch.setattr(pace, "perf_counter", lambda: self.now)

    def work(self, seconds, overhead=0.0):
        """For so long; returns how much of it the fastest would have needed."""
        start, n_done = self.now, 0
        while self.now < start + seconds:
            size, n_blocks = self.pace.choose(self.most)
            lasts = n_blocks * self.seconds[size] + overhead
            self.now += lasts
            self.pace.measured(size, n_blocks, lasts)
            self.runs.append((size, n_blocks, lasts))
            n_done += n_blocks
        return n_done * min(self.seconds.values()) / (self.now - start)


@pytest.mark.parametrize("most", [1, 2, 3, 6, 8])
def test_all_threads_first_then_halves_of_them(monkeypatch, most):
    machine = Machine(monkeypatch, most)
    sizes = [most >> i for i in range(4) if most >> i]
    machine.seconds = {size: 1e-4 / size for size in sizes}
    assert machine.work(1) > 0.9
    sizes_of_runs = [size for size, *_ in machine.runs]
    assert sizes_of_runs[:2] == [most] * 2
    assert set(sizes_of_runs) == set(sizes)


@pytest.mark.parametrize("best", [8, 4, 2, 1])
@pytest.mark.parametrize("slower", [1.01, 1.2, 2, 20])
def test_little_is_lost(monkeypatch, best, slower):
    machine = Machine(monkeypatch, 8)
    machine.seconds = {size: 1e-4 * slower for size in (8, 4, 2, 1)}
    machine.seconds[best] = 1e-4
    machine.work(2)
    assert machine.work(200) > 0.96


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_machine_that_changes(monkeypatch, before, after):
    machine = Machine(monkeypatch, 2)
    machine.seconds = {before: 1e-4, after: 1.5e-4}
    machine.work(2)
    assert machine.work(10) > 0.98
    machine.seconds = {before: 3e-4, after: 1.5e-4}
    machine.work(2)
    assert machine.work(10) > 0.98


def test_what_was_measured_long_ago_counts_little(monkeypatch):
    """Short fits with pauses between them follow a machine that changed meanwhile."""
    machine = Machine(monkeypatch, 2)
    machine.seconds = {1: 1e-4, 2: 2.5e-4}
    machine.work(1)
    machine.seconds = {1: 1e-4, 2: 6e-5}
    machine.now += 10
    machine.runs.clear()
    machine.work(0.05)
    assert machine.runs[0][0] == 2
    assert machine.pace.choose(2)[0] == 2


def test_one_slow_run_is_no_reason(monkeypatch):
    """As when the system gives a core to something else for a moment."""
    machine = Machine(monkeypatch, 2)
    machine.seconds = {2: 1e-4, 1: 1.8e-4}
    machine.work(1)
    machine.pace.measured(2, 300, 0.06)
    assert machine.pace.choose(2)[0] == 2


def test_first_runs_of_threads(monkeypatch):
    """Short ones do not count, unless there are no others."""
    machine = Machine(monkeypatch, 2)
    for size in 2, 2, 2, 1:
        machine.pace.measured(size, 5, 5 * {2: 1.8e-5, 1: 1e-5}[size])
    machine.pace.measured(1, 5, 5e-4, is_first=True)
    assert machine.pace.choose(2)[0] == 1
    for _ in range(8):
        machine.pace.measured(1, 5, 5e-4, is_first=True)
    assert machine.pace.choose(2)[0] == 2
    machine.pace.measured(2, 5, 0.5, is_first=True)
    assert machine.pace.choose(2)[0] == 1


def test_the_start_of_threads_is_lost_too(monkeypatch):
    """A try of few blocks, for which threads have to be started."""
    machine = Machine(monkeypatch, 2)
    machine.seconds = {1: 1e-5, 2: 1.1e-5}
    machine.work(1)
    assert machine.pace.choose(2)[0] == 1
    machine.pace.measured(2, 10, 2e-3, is_first=True)
    machine.pace.measured(2, 10, 1.1e-4)
    for _ in range(18):
        machine.now += 0.01
        assert machine.pace.choose(2)[0] == 1
    machine.now += 0.1
    assert machine.pace.choose(2)[0] == 2


def test_one_interrupted_run_is_no_reason(monkeypatch):
    """Runs of an epoch each, which are shorter than the system's turns."""
    machine = Machine(monkeypatch, 2)
    for size in 2, 2, 2, 1:
        machine.pace.measured(size, 5, 5 * {2: 1e-5, 1: 1.8e-5}[size])
    machine.pace.measured(2, 5, 4e-3)
    assert machine.pace.choose(2)[0] == 2
    for _ in range(4):
        machine.pace.measured(2, 5, 4e-3)
    assert machine.pace.choose(2)[0] == 1


def test_a_stalled_team_is_reason_enough(monkeypatch):
    """Threads that wait for other processes; one thread only loses its turn."""
    machine = Machine(monkeypatch, 2)
    for size in 2, 2, 2, 1:
        machine.pace.measured(size, 5, 5 * {2: 1e-5, 1: 1.8e-5}[size])
    machine.pace.measured(2, 5, 0.015)
    assert machine.pace.choose(2)[0] == 1
    machine.pace.measured(1, 5, 0.015)
    assert machine.pace.choose(2)[0] == 1


@pytest.mark.parametrize("block_flops", [1e4, 1e6, 1e12])
def test_runs_are_short_whatever_the_guess(monkeypatch, block_flops):
    machine = Machine(monkeypatch, 1, block_flops=block_flops)
    machine.seconds = {1: 1e-4}
    machine.work(5)
    assert len(machine.runs) > 3
    for _, _, lasts in machine.runs[3:]:
        assert lasts == pytest.approx(RUN_SECONDS, rel=0.01)
    machine.seconds = {1: 1.0}
    machine.work(500)
    assert machine.runs[-1][1] == 1


def test_the_first_run_counts_little(monkeypatch):
    """It compiles or loads kernels."""
    machine = Machine(monkeypatch, 2)
    machine.pace.measured(2, 1, 10.0)
    machine.seconds = {2: 1e-4, 1: 1.8e-4}
    assert machine.work(5) > 0.98
    assert machine.runs[0][0] == 2


def test_fewer_threads_for_a_while(monkeypatch):
    """Other fits begin and end."""
    machine = Machine(monkeypatch, 4)
    machine.seconds = {4: 1e-4, 2: 2e-4, 1: 4e-4}
    machine.work(2)
    for machine.most in 2, 1, 4:
        machine.runs.clear()
        machine.work(2)
        sizes = {size for size, *_ in machine.runs}
        assert sizes == {machine.most >> i for i in range(3)} - {0}


def test_a_clock_that_stands_still(monkeypatch):
    machine = Machine(monkeypatch, 2)
    for _ in range(3):
        machine.pace.measured(2, 1, 0.0)
        assert machine.pace.choose(2)[1] >= 1
