from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.command_line import finish

import blnk_auth
from blnk_auth.cli import app

HEAVY = ("httpx", "requests", "rich", "starlette", "uvicorn", "authlib", "sqlite3", "asyncio")


def without(packages: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    hidden = dict.fromkeys(packages.split(","))
    code = f"import sys; sys.modules.update({hidden!r}); from blnk_auth.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("packages", "extra", "arguments"),
    [
        ("click", "cli", ("--help",)),
        ("rich", "cli", ("demo",)),
        ("starlette", "sandbox", ("sandbox",)),
        ("uvicorn", "sandbox", ("demo",)),
        ("jinja2", "sandbox", ("demo",)),
        ("rich,jinja2", "cli,sandbox", ("sandbox",)),
        ("rich,jinja2", "cli", ("login",)),
    ],
)
def test_a_missing_package_is_named_with_its_extra(packages: str, extra: str, arguments: tuple[str, ...]) -> None:
    """Without packages it needs, a command ends with 2 and one line that names all there is to install."""
    finished = without(packages, *arguments)
    package = packages.partition(",")[0]
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr == (
        f"blnk-auth: this needs the package {package}, which is not installed: pip install 'blnk-auth[{extra}]'\n"
    )


def test_help_names_every_command() -> None:
    """`blnk-auth --help` lists the commands with a sentence each, and works as `python -m blnk_auth` too."""
    arguments = [sys.executable, "-m", "blnk_auth", "--help"]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True)
    shown = " ".join(finished.stdout.split())
    assert "demo Show token renewal at work" in shown
    assert "sandbox Run an authorization server" in shown


def test_help_loads_nothing_heavy() -> None:
    """`blnk-auth --help` loads no HTTP client, no server, no database and no terminal library.

    Apart from what filelock, before its version 4, imports by itself.
    """
    code = (
        "import sys, filelock, atexit\n"
        f"heavy = set({HEAVY!r}) - set(sys.modules)\n"
        "from blnk_auth.cli import main\n"
        "atexit.register(lambda: print('loaded', *sorted(heavy & set(sys.modules))))\n"
        "main()"
    )
    finished = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "loaded"


def test_an_unknown_command_is_a_wrong_call() -> None:
    """A misspelt command or option ends with 2 and is named, in one line with where to look."""
    for arguments, command in ((("dmo",), "blnk-auth"), (("status", "--intervall", "1"), "blnk-auth status")):
        finished = finish(*arguments)
        assert (finished.returncode, finished.stdout) == (2, "")
        assert finished.stderr.count("\n") == 1
        assert finished.stderr.startswith("blnk-auth: No such")
        assert finished.stderr.endswith(f"; see: {command} --help\n")


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [(("lgoin",), "'login'"), (("store", "chek"), "'check'"), (("keepaliv", "--json"), "'keepalive'")],
)
def test_a_misspelt_command_gets_a_suggestion(arguments: tuple[str, ...], suggestion: str) -> None:
    """The most similar command is named; one that resembles none is not guessed at."""
    assert f"(did you mean {suggestion}?)" in finish(*arguments).stderr
    assert "did you mean" not in finish("xyzzy").stderr


@pytest.mark.parametrize("option", ["--nonsense", "--version=3"])
def test_a_wrong_option_before_the_command_is_a_wrong_call(option: str) -> None:
    """It is reported like one after the command: named, in one line with where to look."""
    finished = finish(option, "status")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith("blnk-auth: ")
    assert option.partition("=")[0] in finished.stderr
    assert finished.stderr.endswith("; see: blnk-auth --help\n")


def test_a_group_without_a_command_shows_its_help() -> None:
    """`blnk-auth store` alone shows what there is."""
    finished = finish("store")
    assert "Usage: blnk-auth store" in finished.stdout + finished.stderr


def test_ctrl_c_while_it_loads_ends_it_without_a_traceback() -> None:
    """Ctrl-C in the middle of an import, when nothing is at stake yet, ends the process as the shell expects."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupting:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == 'blnk_auth.cli.options':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting)\n"
        "from blnk_auth.cli import main; main()"
    )
    finished = subprocess.run([sys.executable, "-c", code, "status"], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (-2, "", "")


def test_a_bundled_application_finds_every_command_and_page() -> None:
    """Bundling tools follow import statements: one names each command, and no file of the package is data.

    The pages of the documentation, which messages name, are read by nobody but users.
    """
    package = Path(blnk_auth.__file__).parent
    imported = {
        alias.name
        for node in ast.walk(ast.parse((package / "cli" / "app.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module is None
        for alias in node.names
    }
    commands = app.group.list_commands(click.Context(app.group))
    assert {name.replace("-", "_") for name in commands} <= imported
    paths = [path for path in package.rglob("*") if path.is_file() and package / "docs" not in path.parents]
    files = {path.name for path in paths if path.suffix not in {".py", ".pyc"}}
    assert files == {"py.typed"}
