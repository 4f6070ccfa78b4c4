"""`make test-pythons` and `make test-lowest`: the tests in other environments than the one that `make test` uses.

Used by the Makefile. Each environment is beside the others in `.venv`, is made from a hashed lock, once, and gets the
wheel that `make test` has built. It promises a line for each environment at the end, and a status other than 0 if any
of them failed. It never downloads an interpreter: a version that this machine lacks is named as not run, and fails
nothing, because `make test` has run on the machine's own.

    python tests/support/pythons.py pythons      every CPython from 3.11 on, except the one of `make test`
    python tests/support/pythons.py lowest       the lowest versions that pyproject.toml allows

The variable TESTS names some of the tests; without it, all that can find something there are run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv"
SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.13t", "3.14t")
"""The `t` marks a free-threaded build."""

_VERSION = (
    "import sys, sysconfig;"
    "print('%d.%d' % sys.version_info[:2] + 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)
_TESTS = ("tests/unit", "tests/scenarios", "tests/providers", "tests/stores", "tests/cli", "tests/web", "tests/docs")
"""What runs elsewhere too. The simulation and the browser find nothing there that they do not find in `make test`."""


def interpreters() -> dict[str, Path]:
    """The CPython of each supported version on this machine: on the path, of pyenv, of uv."""
    found: dict[str, Path] = {}
    for path in _candidates():
        version = _version_of(path)
        if version in SUPPORTED:
            found.setdefault(version, path)
    return found


def _candidates() -> Iterator[Path]:
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        yield from (Path(directory) / f"python{version}" for version in SUPPORTED)
    for home in (os.environ.get("PYENV_ROOT", "~/.pyenv") + "/versions", "~/.local/share/uv/python"):
        yield from sorted(Path(home).expanduser().glob("*/bin/python3"))


def _version_of(path: Path) -> str | None:
    """None for what is not an interpreter: a shim of pyenv answers only for the versions that are switched on."""
    try:
        answer = subprocess.run([path, "-I", "-c", _VERSION], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def environment(python: Path, name: str, lock: Path) -> Path:
    """The interpreter of an environment that is exactly the lock, made again where the lock is newer."""
    target = ENVIRONMENTS / name
    made = target / ".locked"
    if not made.exists() or made.stat().st_mtime < lock.stat().st_mtime:
        print(f"Creating {target} with {python}", flush=True)  # noqa: T201 - a script of the Makefile
        subprocess.run([python, "-m", "venv", "--clear", target], check=True)
        _pip(target, "--require-hashes", "--only-binary", ":all:", "-r", str(lock))
        made.touch()
    (wheel,) = (ROOT / "dist").glob("*.whl")
    _pip(target, "--no-index", "--no-deps", "--force-reinstall", str(wheel))
    return target / "bin" / "python"


def _pip(environment: Path, *arguments: str) -> None:
    quiet = ("--disable-pip-version-check", "--no-input", "--quiet")
    subprocess.run([environment / "bin" / "python", "-m", "pip", *quiet, "install", *arguments], check=True)


def passes(python: Path, *flags: str) -> bool:
    """Whether the tests pass there, against the installed wheel."""
    command = [
        python,
        "-m",
        "pytest",
        "-n4",
        "--dist=worksteal",
        *flags,
        *(os.environ.get("TESTS", "").split() or _TESTS),
        *os.environ.get("PYTEST_FLAGS", "").split(),
    ]
    return (
        subprocess.run(command, cwd=ROOT, env={**os.environ, "BLNK_AUTH_TEST_WHEEL": "1"}, check=False).returncode == 0
    )


def main(what: str) -> int:
    """Run the tests in the environments, and report which passed."""
    results: dict[str, str] = {}
    if what == "lowest":
        python = environment(Path(sys.executable), "lowest", ROOT / "requirements" / "lowest.txt")
        # Old releases of packages warn of what newer ones have changed since.
        results["lowest versions"] = "passed" if passes(python, "-o", "filterwarnings=default") else "FAILED"
    else:
        here = _version_of(Path(sys.executable))
        found = interpreters()
        for version in SUPPORTED:
            if version == here:
                results[version] = "is what `make test` runs on"
            elif version not in found:
                results[version] = "NOT RUN: this machine does not have it"
            else:
                python = environment(found[version], f"python-{version}", ROOT / "requirements" / "dev.txt")
                results[version] = "passed" if passes(python) else "FAILED"
    for name, result in results.items():
        print(f"{name}: {result}")  # noqa: T201
    return int("FAILED" in results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
