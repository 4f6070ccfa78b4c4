"""What `make types` asks beyond the package itself: `python tests/typing/check.py`, with the checkout on PYTHONPATH.

1. Every symbol that is public, or reachable from one, has a declared type (`pyright --verifytypes`: 100 %).
2. `every_member.py` and `public_calls.py`: what each public call returns, by mypy and by pyright in strict mode.
3. What is annotated with the classes of httpx holds with those of httpx2, whose twin shares the code.
4. The examples of the README and of docs/ fit the types, by both checkers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
sys.path[:0] = [str(HERE.parent / "docs"), str(HERE.parent)]

NOT_CHECKED = {"django", "use-inside-api-clients"}
"""Documents whose packages have no types, or are installed elsewhere."""

# pyright takes the Python of VIRTUAL_ENV and PATH where it takes no option for it.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    "VIRTUAL_ENV": str(BIN.parent),
    "PYTHONPATH": str(ROOT),
    "MYPYPATH": str(ROOT),
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
}


def run(what: str, *command: str | Path) -> bool:
    """Run a checker and report the result; its own output only if it found something."""
    finished = subprocess.run(
        [str(part) for part in command], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
    )
    sys.stdout.write(f"{what}: {'ok' if finished.returncode == 0 else 'FAILED'}\n")
    if finished.returncode:
        sys.stdout.write(f"{finished.stdout}{finished.stderr}\n")
    return finished.returncode == 0


def write_examples(directory: Path) -> None:
    """One module for each document: its blocks, which share their names, one after another."""
    from test_readme import DOCUMENTS, python_blocks

    for document in DOCUMENTS:
        blocks = python_blocks(document.read_text("utf-8"))
        if blocks and document.stem not in NOT_CHECKED:
            # A name of its own: a module called fastapi would hide the package.
            name = f"example_{document.stem.replace('-', '_').lower()}.py"
            (directory / name).write_text("\n".join(block.source for block in blocks), "utf-8")
    (directory / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard", "reportMissingImports": "none"}')


def main() -> int:
    """Run everything, also after a failure; the exit status is 0 if all was well."""
    mypy, pyright = BIN / "mypy", BIN / "pyright"
    with tempfile.TemporaryDirectory() as examples:
        write_examples(Path(examples))
        results = [
            run("public types", pyright, "--verifytypes", "blnk_auth", "--ignoreexternal"),
            run("public calls, mypy", mypy, "--strict", HERE / "every_member.py", HERE / "public_calls.py"),
            run("public calls, pyright", pyright, "-p", HERE / "pyrightconfig.json"),
            run("the httpx2 twin", pyright, "-p", HERE / "httpx2.json"),
            run(
                "examples, mypy",
                mypy,
                "--config-file",
                os.devnull,
                "--check-untyped-defs",
                "--allow-redefinition",
                "--ignore-missing-imports",
                examples,
            ),
            run("examples, pyright", pyright, "-p", examples),
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
