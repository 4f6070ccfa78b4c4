"""What `make types` asks beyond the package itself: `python tests/typing/check.py`, with the checkout on PYTHONPATH.

1. Every symbol that is public, or reachable from one, has a declared type (`pyright --verifytypes`: 100 %).
2. `every_member.py` and `public_calls.py`: what each public call returns, by mypy and by pyright in strict mode.
3. `without_httpx2.py`: the same of `Auth`, whose bases include a class of httpx2, where httpx2 is not installed.
4. What is annotated with the classes of httpx holds with those of httpx2, whose twin shares the code.
5. Every Python example of the README and of docs/ fits the types, by `mypy --strict` and by pyright in strict mode, and
   what it makes has the types of `RESULTS`. `examples.py` lists, each with its reason: what is not checked
   (`UNCHECKED`), what the two do not report (`NOT_IN_MYPY`, `NOT_IN_PYRIGHT`, `PARTLY_TYPED`), the packages whose
   objects are Any (`OF_ANY_TYPE`), and the types that parameters get which a page shows without (`PARAMETERS`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import examples  # noqa: E402 - the line above finds it

ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent

# pyright takes the Python of VIRTUAL_ENV and PATH where it takes no option for it.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    "VIRTUAL_ENV": str(BIN.parent),
    "PYTHONPATH": str(ROOT),
    "MYPYPATH": str(ROOT),
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
}


AS_INSTALLED = {name: value for name, value in ENVIRONMENT.items() if name not in ("PYTHONPATH", "MYPYPATH")}


def run(what: str, *command: str | Path, environment: dict[str, str] = ENVIRONMENT, directory: Path = ROOT) -> bool:
    """Run a checker and report the result; its own output only if it found something."""
    finished = subprocess.run(
        [str(part) for part in command], env=environment, cwd=directory, capture_output=True, text=True, check=False
    )
    sys.stdout.write(f"{what}: {'ok' if finished.returncode == 0 else 'FAILED'}\n")
    if finished.returncode:
        sys.stdout.write(f"{finished.stdout}{finished.stderr}\n")
    return finished.returncode == 0


def python_without_httpx2(directory: Path) -> Path:
    """A Python with every package that this one has, but not httpx2; this library is installed there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    here = Path(sysconfig.get_path("purelib"))
    there = directory / here.relative_to(sys.prefix)
    for package in here.iterdir():
        if not package.name.startswith(("httpx2", "blnk_auth")) and package.suffix != ".pth":
            (there / package.name).symlink_to(package)
    (there / "blnk_auth").symlink_to(ROOT / "blnk_auth")
    return directory / "bin" / "python"


def checked_without_httpx2() -> list[bool]:
    """What both checkers find in `without_httpx2.py`, from a directory without the settings of this project."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        python, document = python_without_httpx2(directory / "venv"), directory / "without_httpx2.py"
        shutil.copy(HERE / document.name, document)
        (directory / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
        environment = {**AS_INSTALLED, "VIRTUAL_ENV": str(directory / "venv")}
        settings: dict[str, Any] = {"environment": environment, "directory": directory}
        what = "Auth without httpx2"
        return [
            run(f"{what}, mypy", BIN / "mypy", "--strict", "--python-executable", python, document, **settings),
            run(f"{what}, pyright", BIN / "pyright", "--pythonpath", python, document, **settings),
        ]


def checked_examples() -> list[bool]:
    """What both checkers find in the examples."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        examples.write(directory)
        environment = {**ENVIRONMENT, "MYPYPATH": f"{ROOT}{os.pathsep}{directory / 'typings'}"}
        # Their options are others than those of the package, whose cache they would make useless.
        options = ["--config-file", directory / "mypy.ini", "--cache-dir", ROOT / ".mypy_cache" / "examples"]
        return [
            run("examples, mypy", BIN / "mypy", *options, *sorted(directory.glob("*.py")), environment=environment),
            run("examples, pyright", BIN / "pyright", "-p", directory),
        ]


def main() -> int:
    """Run everything, also after a failure; the exit status is 0 if all was well."""
    mypy, pyright = BIN / "mypy", BIN / "pyright"
    results = [
        run("public types", pyright, "--verifytypes", "blnk_auth", "--ignoreexternal"),
        run("public calls, mypy", mypy, "--strict", HERE / "every_member.py", HERE / "public_calls.py"),
        run("public calls, pyright", pyright, "-p", HERE / "pyrightconfig.json"),
        *checked_without_httpx2(),
        run("the httpx2 twin", pyright, "-p", HERE / "httpx2.json"),
        *checked_examples(),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
