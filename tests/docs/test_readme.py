"""Every ```python block of README.md and docs/ is run as it stands, or says in the text why it is not.

A comment on the line before a block says how:

    <!-- test: sandbox -->                   BLNK_URL, BLNK_CLIENT_ID and BLNK_CLIENT_SECRET are a running sandbox's
    <!-- test: certificate -->               client.pem and client.key are in its directory
    <!-- test: first steps -->               a program of its own, beside `blnk-auth sandbox`: see test_first_steps.py
    <!-- test: file NAME -->                 written to that file, after the earlier blocks of that name; at the end
                                             pytest runs the directory, with the plugin of blnk_auth
    <!-- test: skip because it needs ... --> not run; counted in NOT_RUN below

A document is read from top to bottom in one session: its blocks share their names, a fresh directory and, if one of
them needs it, one sandbox. `input()` is answered by alice: she opens the newest address on the screen, agrees, and
pastes the address she is sent to. The sandbox's client is registered with the redirect URIs that the documents use.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from blnk_auth.testing import Sandbox

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"

OF_CLIENTS = [
    HOW_TO / f"{name}.md"
    for name in ("blnk-cloud", "grpc", "mcp", "pandas-and-polars", "use-inside-api-clients", "websockets")
]
ELSEWHERE = [
    *OF_CLIENTS,
    *sorted((ROOT / "docs" / "migrate").glob("*.md")),
    *(HOW_TO / f"{name}.md" for name in ("keep-many-grants-alive", "mock-and-travel")),
]
"""tests/clients runs these, where the packages are that their examples use."""

DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path not in ELSEWHERE]

NOT_RUN = 0
"""How many blocks are marked `skip`. Raising it is a decision, to be seen in review."""

FIRST_STEPS = "first steps"

REDIRECT_URIS = ("https://your-app.com/oauth/callback", "http://127.0.0.1/callback")

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})[ ]*(?P<language>[^\s`]*)")
_FENCE_BEHIND_A_MARK = re.compile(r"^\s*(>|[-*+]|\d+[.)])\s*(`{3,}|~{3,})")
_DIRECTIVE = re.compile(r"^\s*<!--\s*test:\s*(?P<text>.*?)\s*-->\s*$")
_SKIP = re.compile(r"skip because (?P<reason>\S.*)")
_FILE = re.compile(r"file (?P<name>[a-z_]+\.py)")
_ALIASES = {"py", "python3", "pycon", "py3", "Python", "ipython"}


@dataclass(frozen=True)
class Block:
    """A python block: its text, the line of its first statement, and how it is to be run."""

    source: str
    line: int
    needs_sandbox: bool = False
    needs_certificate: bool = False
    is_program: bool = False
    skip_reason: str | None = None
    file: str | None = None


def python_blocks(text: str) -> list[Block]:
    """The python blocks of a Markdown text. Raises ValueError, with the line, for one that would be missed."""
    blocks: list[Block] = []
    directive: str | None = None
    for line, language, content in _parts(text):
        if language == "python":
            blocks.append(_block(content, line + 1, directive))
            directive = None
        elif directive is not None and (language is not None or content.strip()):
            raise ValueError(f"line {line}: <!-- test: {directive} --> must stand right before a ```python block")
        elif language is None and (comment := _DIRECTIVE.match(content)):
            directive = comment["text"]
    if directive is not None:
        raise ValueError(f"<!-- test: {directive} --> at the end of the text belongs to no block")
    return blocks


def _parts(text: str) -> Iterator[tuple[int, str | None, str]]:
    """Each line outside of a block, with None, and each block, with its language and the line of its fence."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if _FENCE_BEHIND_A_MARK.match(line):
            raise ValueError(f"line {number}: begin the block on a line of its own, so that it is run")
        opening = _FENCE.match(line)
        if opening is None:
            yield number, None, line
            continue
        if opening["language"] in _ALIASES:
            raise ValueError(f"line {number}: write ```python, so that the block is run")
        yield number, opening["language"], _until_closed(lines, opening)


def _until_closed(lines: Iterator[tuple[int, str]], opening: re.Match[str]) -> str:
    indent, fence = len(opening["indent"]), opening["fence"]
    body: list[str] = []
    for _, line in lines:
        stripped = line.strip()
        if len(stripped) >= len(fence) and set(stripped) == {fence[0]}:
            return "\n".join(body) + "\n"
        body.append(line[indent:] if line[:indent].isspace() else line)
    raise ValueError(f"a block that begins with {opening[0].strip()} is never closed")


def _block(source: str, line: int, directive: str | None) -> Block:
    if directive is None:
        return Block(source, line)
    if directive == "sandbox":
        return Block(source, line, needs_sandbox=True)
    if directive == "certificate":
        return Block(source, line, needs_certificate=True)
    if directive == FIRST_STEPS:
        return Block(source, line, is_program=True)
    if file := _FILE.fullmatch(directive):
        return Block(source, line, file=file["name"])
    if skip := _SKIP.fullmatch(directive):
        return Block(source, line, skip_reason=skip["reason"])
    raise ValueError(
        f"line {line}: <!-- test: {directive} --> is none of `sandbox`, `certificate`, `first steps` and "
        "`skip because <reason>`"
    )


def read_along(text: str, *, name: str, directory: Path) -> str:
    """Run the blocks of a document in `directory`, in order; return what they showed on the screen."""
    blocks = [block for block in python_blocks(text) if block.skip_reason is None and not block.is_program]
    screen = io.StringIO()
    with contextlib.ExitStack() as session:
        session.enter_context(contextlib.chdir(directory))
        session.enter_context(contextlib.redirect_stdout(screen))
        session.enter_context(logging_as_before())
        names: dict[str, Any] = {"__name__": "__main__"}
        if any(block.needs_sandbox for block in blocks):
            sandbox = session.enter_context(Sandbox(redirect_uri=REDIRECT_URIS))
            session.enter_context(environment(_of_the_sandbox(sandbox)))
            names["input"] = alice_at(screen, sandbox)
        if any(block.needs_certificate for block in blocks):
            issued = trustme.CA().issue_cert("client.example.com")
            issued.cert_chain_pems[0].write_to_path(str(directory / "client.pem"))
            issued.private_key_pem.write_to_path(str(directory / "client.key"))
        for block in (block for block in blocks if block.file is None):
            # The empty lines make a traceback point into the document.
            code = compile("\n" * (block.line - 1) + block.source, name, "exec", dont_inherit=True)
            exec(code, names)
    run_files([block for block in blocks if block.file is not None], directory)
    return screen.getvalue()


def run_files(blocks: list[Block], directory: Path) -> None:
    """Write the files of a document, and run their tests as a reader would, if there are any."""
    files: dict[str, str] = {}
    for block in blocks:
        name = str(block.file)
        files[name] = f"{files[name]}\n\n{block.source}" if name in files else block.source
    for name, source in files.items():
        (directory / name).write_text(source, "utf-8")
    if any(name.startswith("test_") for name in files):
        (directory / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
        # A checkout has no entry point, so that the plugin is named.
        options = [
            "-q",
            "--color=no",
            "-p",
            "blnk_auth.testing.pytest_plugin",
            "-p",
            "no:cacheprovider",
            f"--rootdir={directory}",
        ]
        command = [sys.executable, "-m", "pytest", *options, str(directory)]
        finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr


def _of_the_sandbox(sandbox: Sandbox) -> dict[str, str]:
    return {
        "BLNK_URL": sandbox.origin,
        "BLNK_CLIENT_ID": sandbox.client_id,
        "BLNK_CLIENT_SECRET": sandbox.client_secret,
    }


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """The process environment with `variables` added, and put back afterwards."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def logging_as_before() -> Iterator[None]:
    """Levels and handlers put back afterwards: other tests run in this process, and a reader ends theirs."""
    loggers = logging.getLogger(), logging.getLogger("blnk_auth")
    before = [(each, each.level, list(each.handlers)) for each in loggers]
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers


def alice_at(screen: io.StringIO, sandbox: Sandbox) -> Callable[[str], str]:
    """The `input` of a terminal that alice sits at, with `screen` in front of her."""

    def answer(prompt: str = "") -> str:
        screen.write(prompt)
        addresses = re.findall(rf"{re.escape(sandbox.origin)}/oauth/authorize\S*", screen.getvalue())
        if not addresses:
            raise AssertionError("alice is asked for something, but no authorization address is on the screen")
        return sandbox.sign_in(addresses[-1], subject="alice")

    return answer


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_a_document_run(document: Path, tmp_path: Path) -> None:
    """A reader who types the examples of a document, in order, sees no error."""
    read_along(document.read_text("utf-8"), name=str(document), directory=tmp_path)


def test_the_examples_that_are_not_run_are_counted() -> None:
    """No example is left out silently: the number of skipped blocks is the one written above."""
    skipped = [block for path in DOCUMENTS for block in python_blocks(path.read_text("utf-8")) if block.skip_reason]
    assert len(skipped) == NOT_RUN


def test_the_readme_has_an_example() -> None:
    """The README shows python that runs, so the test of the documents is not empty."""
    assert [block for block in python_blocks(DOCUMENTS[0].read_text("utf-8")) if block.skip_reason is None]


SAMPLE = """\
# A sample

```sh
pip install blnk-auth
```

<!-- test: sandbox -->
```python
import os

start = f"{os.environ['BLNK_URL']}/oauth/authorize?response_type=code&client_id={os.environ['BLNK_CLIENT_ID']}"
start += "&redirect_uri=https%3A%2F%2Fyour-app.com%2Foauth%2Fcallback&state=s&code_challenge_method=S256"
print("Open", start + "&code_challenge=" + "a" * 43)
callback = input("and paste the address you were sent to: ")
```

- In a list:

  ~~~python
  assert callback.startswith("https://your-app.com/oauth/callback?code=")
  print("signed in")
  ~~~

<!-- test: skip because the sandbox has no bank -->

```python
raise SystemExit("not run")
```
"""


def test_a_sample_is_run_in_order_with_its_sandbox(tmp_path: Path) -> None:
    """Blocks share their names and the sandbox's environment, alice signs in, and a skipped block is not run."""
    environment_before = dict(os.environ)
    screen = read_along(SAMPLE, name="sample.md", directory=tmp_path)
    assert screen.endswith("and paste the address you were sent to: signed in\n")
    assert [block.skip_reason for block in python_blocks(SAMPLE)] == [None, None, "the sandbox has no bank"]
    assert os.environ == environment_before


def test_an_error_points_into_the_document(tmp_path: Path) -> None:
    """The traceback of a failing example names the document and the line."""
    text = "Text.\n\n```python\nfine = 1\n1 / 0\n```\n"
    with pytest.raises(ZeroDivisionError) as failure:
        read_along(text, name="broken.md", directory=tmp_path)
    last = failure.traceback[-1].frame.code
    assert (last.raw.co_filename, failure.traceback[-1].lineno + 1) == ("broken.md", 5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```py\nx = 1\n```\n", "line 1: write ```python"),
        ("- ```python\n  x = 1\n  ```\n", "line 1: begin the block"),
        ("<!-- test: sandbx -->\n```python\nx = 1\n```\n", "none of `sandbox`"),
        ("<!-- test: skip because -->\n```python\nx = 1\n```\n", "none of `sandbox`"),
        ("<!-- test: sandbox -->\nText.\n```python\nx = 1\n```\n", "line 2: .* right before"),
        ("<!-- test: sandbox -->\n```sh\nls\n```\n", "right before"),
        ("<!-- test: sandbox -->\n", "belongs to no block"),
        ("```python\nx = 1\n", "never closed"),
    ],
)
def test_a_block_that_would_be_missed_is_an_error(text: str, complaint: str) -> None:
    """A misspelt language or comment does not quietly leave an example untested."""
    with pytest.raises(ValueError, match=complaint):
        python_blocks(text)


@pytest.mark.parametrize("expected", [2, 3])
def test_the_files_of_a_document_are_run_by_pytest(expected: int, tmp_path: Path) -> None:
    """Blocks of one file are one file, one file imports another, and a test that fails is seen."""
    application = "<!-- test: file app.py -->\n```python\nONE = 1\n```\n"
    tests = (
        "<!-- test: file test_app.py -->\n```python\nfrom app import ONE\n```\n\nText.\n\n"
        "<!-- test: file test_app.py -->\n```python\ndef test_one(blnk_clock):\n"
        f"    assert ONE + 1 == {expected}\n```\n"
    )
    with contextlib.nullcontext() if expected == 2 else pytest.raises(AssertionError, match="1 failed"):
        read_along(application + tests, name="sample.md", directory=tmp_path)


def test_a_block_inside_a_longer_fence_is_text() -> None:
    """Markdown that shows a python block in a longer fence is not itself an example."""
    assert python_blocks("````md\n```python\nraise SystemExit\n```\n````\n") == []
