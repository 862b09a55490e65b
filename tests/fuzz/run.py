"""Check random configurations: ``python tests/fuzz/run.py [--n 2000] [--seed S]``.

Each is determined by the seed and its number: ``--first K --n 1`` runs one again.
"""

import argparse
import faulthandler
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent


def work(seed, first, last, step):
    """In a process of its own, since what fails may end it."""
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    from configurations import Configuration

    faulthandler.enable()
    n_fits = n_bad = 0
    for number in range(first, last, step):
        print(f"number {number}", flush=True)
        faulthandler.dump_traceback_later(300, exit=True)
        try:
            n_fits += Configuration(seed, number).check()
        except Exception:
            n_bad += 1
            print(f"BAD seed={seed} number={number}", flush=True)
            traceback.print_exc(limit=-4)
        faulthandler.cancel_dump_traceback_later()
    print(f"done {n_fits} {n_bad}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    first, last = options.first, options.first + options.n
    if options.of is not None:
        work(options.seed, first + options.of, last, options.processes)
        return 0
    print(f"seed {options.seed}", flush=True)
    began, workers = time.perf_counter(), []
    for k in range(options.processes):
        command = [sys.executable, __file__, "--of", str(k), "--n", str(options.n)]
        command += ["--seed", str(options.seed), "--first", str(first)]
        command += ["--processes", str(options.processes)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        workers.append(subprocess.Popen(command, text=True, **pipes))
    outputs = [worker.communicate()[0] for worker in workers]
    n_fits = n_bad = 0
    for worker, output in zip(workers, outputs):
        lines = output.splitlines()
        if worker.returncode != 0 or not lines or not lines[-1].startswith("done"):
            n_bad += 1
            latest = [line for line in lines if line.startswith("number")][-1:]
            print(f"BAD crash: seed={options.seed} {latest}")
        else:
            fits, bad = map(int, lines[-1].split()[1:])
            n_fits, n_bad = n_fits + fits, n_bad + bad
        print("\n".join(x for x in lines if not x.startswith(("number", "done"))))
    seconds = time.perf_counter() - began
    print(f"{options.n} configurations, {n_fits} fits, {n_bad} bad, {seconds:.0f} s")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
