"""How many machine instructions an operation takes, on a machine that is busy with other things.

Where `valgrind` is installed, every case runs in a fork under callgrind, once with few and once with many repetitions;
the difference leaves out all that happens once. An operation on objects made beforehand is charged without their
making. Elsewhere `count` is not available, and only interleaved timings are left.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

Case = Callable[[int], object]
"""Does an operation so many times."""


def is_available() -> bool:
    """Whether this machine can count instructions."""
    return shutil.which("valgrind") is not None and hasattr(os, "fork")


def count(script: str, arguments: list[str]) -> dict[str, float]:
    """Run `script` under callgrind; it calls `run_cases`. Instructions for one operation, by the name of the case."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/%p", "--quiet"),
            *(sys.executable, script, *arguments),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"{script} ended with {done.returncode} under valgrind:\n{done.stderr[-2000:]}")
        cases = json.loads(done.stdout.splitlines()[-1])
        return {
            name: (_total(Path(scratch, str(many[1]))) - _total(Path(scratch, str(few[1])))) / (many[0] - few[0])
            for name, (few, many) in cases.items()
        }


def of_statement(statement: str, environment: Mapping[str, str]) -> int:
    """Instructions of a whole interpreter that runs the statement and ends."""
    with tempfile.TemporaryDirectory() as scratch:
        profile = Path(scratch, "profile")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--quiet"]
        settings = {**environment, "PYTHONHASHSEED": "0"}
        subprocess.run([*command, sys.executable, "-c", statement], check=True, capture_output=True, env=settings)
        return _total(profile)


def run_cases(cases: Mapping[str, Case], *, few: int, many: int) -> None:
    """In the script: run each case in two forks, and print which process was which."""
    gc.collect()
    gc.freeze()
    done = {name: [(times, _in_fork(case, times)) for times in (few, many)] for name, case in cases.items()}
    print(json.dumps(done))


def _in_fork(case: Case, times: int) -> int:
    sys.stdout.flush()
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        if status:
            raise RuntimeError("a case failed")
        return process
    gc.disable()
    try:
        case(times)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _total(profile: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", profile.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{profile} has no total")
    return int(found[1])
