"""`make fuzz`: every target for as long as asked, and a summary of what was tried and found.

    python -m fuzz.run --seconds 3600 --processes 2

First each committed input is tried, then target after target in rounds of some hundred inputs, each round with a seed
of its own. A target that fails is not tried any more: its smallest failing input is printed, as the line to add to its
file in `tests/fuzz/corpus/`, from where `make test` tries it for ever. The exit status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

from fuzz.target import LONG, Run, Target, fuzz, try_corpus
from fuzz.targets import TARGETS, inputs
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

_DATABASE = Path(".hypothesis") / "fuzz"
_MEMORY = 4 * 2**30
"""Bytes of address space: an input that asks for more meets a `MemoryError`."""

_LONGEST_LINE = 4_000


class Round(NamedTuple):
    """One run over one target, as a process reports it; `failing` is a line for the corpus, or empty."""

    target: str
    examples: int
    seconds: float
    failing: str
    trace: str


def main(arguments: list[str] | None = None) -> int:
    """Run; 1 if a defect was found. `arguments`: as on the command line; None: those that Python was started with."""
    asked = argparse.ArgumentParser(description="Fuzz everything that parses what others wrote.")
    asked.add_argument("--seconds", type=float, default=60.0, help="how long, in all (default: 60)")
    asked.add_argument("--processes", type=int, default=2, help="how many processes (default: 2)")
    asked.add_argument("--seed", type=int, default=None, help="the first seed; the same one tries the same inputs")
    asked.add_argument("targets", nargs="*", help="names of targets (default: all)")
    options = asked.parse_args(arguments)
    unknown = {*options.targets} - {target.name for target in TARGETS}
    if unknown:
        asked.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TARGETS)}")
    chosen = [target.name for target in TARGETS if not options.targets or target.name in options.targets]
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    _say(f"{len(chosen)} targets, {options.seconds:g} s, {options.processes} processes, seed {seed}")
    return _supervise(chosen, options.seconds, options.processes, seed)


def _supervise(chosen: list[str], seconds: float, processes: int, seed: int) -> int:
    spawning = multiprocessing.get_context("spawn")
    rounds: Any = spawning.Queue()
    ends_at = time.time() + seconds
    workers = [
        spawning.Process(target=work, args=(chosen, ends_at, seed + number, rounds)) for number in range(processes)
    ]
    for each in workers:
        each.start()
    summary = _Summary(chosen)
    while any(each.is_alive() for each in workers) or not rounds.empty():
        try:
            summary.add(rounds.get(timeout=0.5))
        except Empty:
            continue
        summary.show_progress(ends_at)
    for each in workers:
        each.join()
    summary.show()
    crashed = [each.exitcode for each in workers if each.exitcode]
    if crashed:
        _say(f"{len(crashed)} of {processes} processes ended with status {crashed}")
    return 1 if summary.failures or crashed else 0


def work(chosen: list[str], ends_at: float, seed: int, rounds: Any) -> None:
    """One process: the corpus, then rounds until the time is over."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("ignore")
    left = [target for target in TARGETS if target.name in chosen]
    for target in [each for each in left if each.corpus]:
        if not _reported(target, partial(try_corpus, target), rounds):
            left.remove(target)
    seeds = random.Random(seed)
    while left and time.time() < ends_at:
        seeds.shuffle(left)
        for target in [*left]:
            rules = settings(
                LONG,
                max_examples=LONG.max_examples // target.cost,
                database=DirectoryBasedExampleDatabase(_DATABASE / target.name),
            )
            look = partial(fuzz, target, inputs(target), rules, seeds.randrange(2**62))
            if time.time() < ends_at and not _reported(target, look, rounds):
                left.remove(target)


def _reported(target: Target, look: Callable[[], Run], rounds: Any) -> bool:
    """Look for a defect, and report; whether none was found."""
    began_at = time.perf_counter()
    found = look()
    failing = "" if found.error is None else repr(found.failing)
    rounds.put(Round(target.name, found.examples, time.perf_counter() - began_at, failing, found.trace))
    return found.error is None


class _Summary:
    """What was reported so far."""

    def __init__(self, chosen: list[str]) -> None:
        self.failures: dict[str, Round] = {}
        self._examples: Counter[str] = Counter(dict.fromkeys(chosen, 0))
        self._seconds: Counter[str] = Counter()
        self._shown_at = 0.0

    def add(self, done: Round) -> None:
        self._examples[done.target] += done.examples
        self._seconds[done.target] += done.seconds
        if done.failing and done.target not in self.failures:
            self.failures[done.target] = done
            _show_failure(done)

    def show_progress(self, ends_at: float) -> None:
        every = 1.0 if sys.stdout.isatty() else 60.0
        if time.monotonic() - self._shown_at < every:
            return
        self._shown_at = time.monotonic()
        left = max(0.0, ends_at - time.time())
        line = f"{left:6.0f} s left, {self._examples.total():>9,} examples, {len(self.failures)} targets failed"
        _say(f"\r{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n")

    def show(self) -> None:
        _say("\n")
        for name, examples in sorted(self._examples.items()):
            verdict = "FAILED" if name in self.failures else "ok"
            _say(f"{name:24} {examples:>9,} examples {self._seconds[name]:>8.1f} s  {verdict}")
        _say(f"{'in all':24} {self._examples.total():>9,} examples {self._seconds.total():>8.1f} s")
        for failure in self.failures.values():
            _show_failure(failure)
        _say(f"{len(self.failures)} of {len(self._examples)} targets failed" if self.failures else "nothing was found")


def _show_failure(failure: Round) -> None:
    line = failure.failing
    if len(line) > _LONGEST_LINE:
        file = _DATABASE / f"{failure.target}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line + "\n", "utf-8")
        line = f"(a line of {len(line)} characters, in {file})"
    _say(
        f"\n--- {failure.target} failed\n{failure.trace[-3000:]}\n"
        f"Add this line to tests/fuzz/corpus/{failure.target}.txt; `make test` tries it then, and so does\n"
        f"`make fuzz TARGETS={failure.target}`:\n\n{line}\n"
    )


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)  # noqa: T201 - the run is watched by people


if __name__ == "__main__":
    sys.exit(main())
