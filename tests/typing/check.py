"""What `make types` asks beyond the package itself: `python tests/typing/check.py`, with the checkout on PYTHONPATH.

1. Every symbol that is public, or reachable from one, has a declared type (`pyright --verifytypes`: 100 %).
2. `every_member.py` and `public_calls.py`: what each public call returns, by mypy and by pyright in strict mode.
3. `without_httpx2.py`: the same of `Auth`, whose bases include a class of httpx2, where httpx2 is not installed.
4. What is annotated with the classes of httpx holds with those of httpx2, whose twin shares the code.
5. The examples of the README and of docs/ fit the types, by mypy and by pyright in strict mode, and what they make has
   the types of `RESULTS`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
sys.path[:0] = [str(HERE.parent / "docs"), str(HERE.parent)]

NOT_CHECKED = {"django", "use-inside-api-clients", "mock-and-travel", "prove-it-survives", "workers"}
"""Documents whose packages have no types or are installed elsewhere, and those whose examples are several modules."""

RESULTS = {
    "aiohttp": "alice TokenSource",
    "blink": "sandbox testing.Sandbox, client OAuthClient",
    "choose-a-store": "store KeyValueStore, record Record, client OAuthClient, source_of(1) TokenSource",
    "device": "sandbox testing.Sandbox",
    "dpop": "sandbox testing.Sandbox, client OAuthClient, alice TokenSource",
    "containers": "sandbox testing.Sandbox, client OAuthClient",
    "describe-a-provider": "acme Provider, client OAuthClient, alice TokenSource",
    "events-logging-and-metrics": "sandbox testing.Sandbox, client OAuthClient, telemetry opentelemetry.Telemetry",
    "exchange-tokens": "sandbox testing.Sandbox, acme Provider, client OAuthClient, source TokenSource",
    "fastapi": "client OAuthClient",
    "flask": "client OAuthClient",
    "for-assistants": "client OAuthClient, service TokenSource, alice TokenSource",
    "go-live-with-a-provider": "client OAuthClient, sandbox testing.Sandbox",
    "keep-grants-alive": "sandbox testing.Sandbox",
    "many-hosts": "server_time testing.Clock, sandbox testing.Sandbox",
    "move-tokens": "old MemoryStore, new EncryptedStore, report stores.CopyReport",
    "notebooks": "client OAuthClient, me TokenSource",
    "open-finance-sign-in": "sandbox testing.Sandbox, client OAuthClient, alice TokenSource",
    "policy": "policy RenewalPolicy, client OAuthClient",
    "prove-who-the-client-is": "client OAuthClient, alice TokenSource, bank Provider",
    "README": "client OAuthClient",
    "protected-resources": "api ProtectedResource",
    "register-the-client": "metadata ClientMetadata, api ProtectedResource",
    "serve-many-banks": "sandbox testing.Sandbox",
    "serverless": "client OAuthClient",
    "service": "sandbox testing.Sandbox",
    "sign-in-from-a-request": "api ProtectedResource, auth Auth",
    "step-up-and-consent": "sandbox testing.Sandbox, client OAuthClient, alice TokenSource",
    "test-with-the-sandbox": "clock testing.Clock, sandbox testing.Sandbox",
    "use-postgresql-or-redis": "store SQLStore, provider Provider, client OAuthClient",
    "write-a-store": "provider Provider, client OAuthClient",
}
"""What the examples of a document make: each name, and its type in `blnk_auth`. A document that is missing fails."""

EXAMPLES_IN_PYRIGHT = {
    "typeCheckingMode": "strict",
    "reportDuplicateImport": "none",  # a block may be a program of its own
    "reportMissingImports": "none",  # the packages of some clients are installed elsewhere
    "reportMissingTypeStubs": "none",  # not every package that an example uses has types
    "reportUnknownMemberType": "none",  # and some that have types leave parts of them open: flask, trustme
    # A reader's first functions are short, and have no annotations: what they are passed to is checked all the same.
    "reportMissingParameterType": "none",
    "reportUnknownParameterType": "none",
    "reportUnknownArgumentType": "none",
    "reportUnknownVariableType": "none",
    "reportUnknownLambdaType": "none",
}

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


def write_examples(directory: Path) -> None:
    """One module for each document: its blocks, which share their names, one after another."""
    from test_readme import DOCUMENTS, python_blocks

    for document in DOCUMENTS:
        blocks = python_blocks(document.read_text("utf-8"))
        if blocks and document.stem not in NOT_CHECKED:
            # A name of its own: a module called fastapi would hide the package.
            name = f"example_{document.stem.replace('-', '_').lower()}.py"
            source = "\n".join(block.source for block in blocks)
            # No checker knows that each value of a dict that is passed by ** fits its own parameter.
            source = f"import typing\n{source}".replace("\napp = {", "\napp: typing.Any = {")
            (directory / name).write_text(f"{source}\n{asserted_results(document.stem, source)}", "utf-8")
    (directory / "pyrightconfig.json").write_text(json.dumps(EXAMPLES_IN_PYRIGHT))


def asserted_results(document: str, source: str) -> str:
    """An `assert_type` for each name of our types that the examples of a document make."""
    makes = re.findall(r"^\w+ = |^with .* as \w+:", source, re.MULTILINE)
    if not makes and document not in RESULTS:
        return ""
    if document not in RESULTS:
        raise SystemExit(f"RESULTS has no line for the examples of {document}")
    results = [result.split() for result in RESULTS[document].split(", ")]
    homes = {f"blnk_auth.{type_name}".rpartition(".")[0] for _, type_name in results}
    lines = ["import typing", *(f"import {home}" for home in sorted(homes))]
    lines += [f"typing.assert_type({name}, blnk_auth.{type_name})" for name, type_name in results]
    return "\n".join(lines)


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


def main() -> int:
    """Run everything, also after a failure; the exit status is 0 if all was well."""
    mypy, pyright = BIN / "mypy", BIN / "pyright"
    with tempfile.TemporaryDirectory() as examples:
        write_examples(Path(examples))
        results = [
            run("public types", pyright, "--verifytypes", "blnk_auth", "--ignoreexternal"),
            run("public calls, mypy", mypy, "--strict", HERE / "every_member.py", HERE / "public_calls.py"),
            run("public calls, pyright", pyright, "-p", HERE / "pyrightconfig.json"),
            *checked_without_httpx2(),
            run("the httpx2 twin", pyright, "-p", HERE / "httpx2.json"),
            run(
                "examples, mypy",
                mypy,
                "--config-file",
                os.devnull,
                # Its options are others than those of the package, whose cache it would make useless.
                "--cache-dir",
                ROOT / ".mypy_cache" / "examples",
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
