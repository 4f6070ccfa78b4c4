"""The Python examples of the README and of docs/ as modules that mypy and pyright check, and the settings for both.

Used by check.py, and by tests/docs/test_typed_examples.py, which finds what is out of date here. It promises a module
for every block, except those of `UNCHECKED`, with each line where its page has it. It never runs an example.

The blocks of a page share one module, as they share their names for a reader; blocks of a file are a module of their
own. Two things are added: the types of `PARAMETERS`, to functions that a page shows without, and the `assert_type` of
`RESULTS`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from docs.test_readme import DOCUMENTS, ELSEWHERE, ROOT, Block, python_blocks

UNCHECKED: dict[tuple[str, int], str] = {}
"""(page, number of its block, from 1): why no checker reads it. Nothing else is left out, and now nothing is."""

OF_ANY_TYPE = {
    **dict.fromkeys(
        "anthropic celery fastmcp freezegun fsspec gql grpc hishel httpx_auth httpx_ws mcp openai pandas polars "
        "procrastinate requests_cache requests_oauth2client requests_oauthlib responses respx time_machine "
        "websockets".split(),
        "only .venv/clients has it, which has no type checker; tests/clients runs these examples with it",
    ),
    **dict.fromkeys(["blnk_sdk", "django", "requests_toolbelt"], "it is installed, and has no types"),
}
"""Packages whose objects have the type Any in the examples, and why. Calls of `blnk_auth` are checked."""

NOT_IN_MYPY = {
    "allow_redefinition = true": "a later block may give a name another type: a page shows one store after another",
    "disallow_untyped_defs = false": "a reader's first functions have no annotations; their bodies are checked",
    "disallow_incomplete_defs = false": "the same, where PARAMETERS has given them types",
    "disallow_untyped_calls = false": "such a function is called",
    "disallow_untyped_decorators = false": "a decorator of a package of OF_ANY_TYPE has no type",
    "disallow_subclassing_any = false": "a class of such a package is Any: grpc.AuthMetadataPlugin",
}
"""What makes mypy milder for the examples than --strict is, and why."""

NOT_IN_PYRIGHT = {
    "reportConstantRedefinition": "a block may be a program of its own, and sets URL again",
    "reportDuplicateImport": "the same: it imports again what it needs",
    "reportMissingModuleSource": "the packages of OF_ANY_TYPE have types here, and are not installed",
}
"""What pyright does not report of the examples, although it is part of the strict mode, and why."""

PARTLY_TYPED = {
    "authlib": (
        "reportUnknownMemberType reportUnknownArgumentType",
        "authlib: its types leave parameters and the result of fetch_token open",
    ),
    "flask": ("reportUnknownMemberType", "flask: its configuration is a dict[Unknown, Unknown]"),
    "test-with-the-sandbox": (
        "reportUnknownMemberType",
        "trustme: its types name classes of pyOpenSSL, which is not installed",
    ),
    "use-inside-api-clients": (
        "reportUnknownMemberType reportUnknownArgumentType reportUnknownLambdaType",
        "starlette: an endpoint is a Callable[..., Any], so that the parameter of a lambda has no type",
    ),
}
"""Pages that use what a package leaves without a type: what pyright does not report of them too, and why."""

PARAMETERS = {
    "access_token": "str | None",
    "action": "str",
    "alice": "blnk_auth.TokenSource",
    "assert_renewed_once": "typing.Any",
    "base_url": "str",
    "blnk_client": "blnk_auth.OAuthClient",
    "blnk_clock": "blnk_auth.testing.Clock",
    "blnk_sandbox": "blnk_auth.testing.Sandbox",
    "callback": "typing.Any",
    "callback_url": "str",
    "caplog": "pytest.LogCaptureFixture",
    "clock": "typing.Callable[[], float]",
    "code": "blnk_auth.DeviceAuthorization",
    "context": "typing.Any",
    "continuation": "typing.Any",
    "details": "typing.Any",
    "event": "dict[str, str]",
    "form": "str",
    "handler": "typing.Any",
    "httpx_mock": "typing.Any",
    "label": "str",
    "page": "example_prove_it_survives_ledgers.LedgersPage",
    "pause": "float",
    "refresh_token": "str | None",
    "registration": "typing.Any",
    "request": "typing.Any",
    "session": "aiohttp.ClientSession",
    "source": "blnk_auth.TokenSource",
    "start": "typing.Callable[[], example_prove_it_survives_ledgers.LedgersPage]",
    "subject": "str",
    "timestamp": "int",
    "tmp_path": "pathlib.Path",
    "token": "dict[str, typing.Any]",
    "url": "str",
    "user": "str",
}
"""The type of each parameter that a page shows without one: in most cases a fixture, or what the page is about."""

RESULTS = {
    "aiohttp": "alice TokenSource",
    "authlib": "client OAuthClient, alice TokenSource, token Token",
    "blink": "sandbox testing.Sandbox, client OAuthClient",
    "blnk-cloud": "client OAuthClient, alice TokenSource",
    "by-hand": "client OAuthClient, alice TokenSource, token Token",
    "choose-a-store": "store KeyValueStore, record Record, client OAuthClient, source_of(1) TokenSource",
    "containers": "sandbox testing.Sandbox, client OAuthClient",
    "describe-a-provider": "acme Provider, client OAuthClient, alice TokenSource",
    "device": "sandbox testing.Sandbox",
    "django": "client OAuthClient",
    "dpop": "sandbox testing.Sandbox, client OAuthClient, alice TokenSource",
    "events-logging-and-metrics": "sandbox testing.Sandbox, client OAuthClient, telemetry opentelemetry.Telemetry",
    "exchange-tokens": "sandbox testing.Sandbox, acme Provider, client OAuthClient, source TokenSource",
    "fastapi": "client OAuthClient",
    "flask": "client OAuthClient",
    "for-assistants": "client OAuthClient, service TokenSource, alice TokenSource",
    "go-live-with-a-provider": "client OAuthClient, sandbox testing.Sandbox",
    "grpc": "client OAuthClient, alice TokenSource",
    "httpx-auth": "client OAuthClient, alice TokenSource, token Token",
    "keep-grants-alive": "sandbox testing.Sandbox",
    "keep-many-grants-alive/keepalive_jobs.py": "client OAuthClient",
    "keep-many-grants-alive/keepalive_tasks.py": "client OAuthClient",
    "many-hosts": "server_time testing.Clock, sandbox testing.Sandbox",
    "mcp": "api ProtectedResource, auth Auth",
    "mock-and-travel/test_with_pytest_httpx.py": "",
    "mock-and-travel/test_with_responses.py": "",
    "mock-and-travel/test_with_respx.py": "",
    "mock-and-travel/test_with_time_machine.py": "",
    "move-tokens": "old MemoryStore, new EncryptedStore, report stores.CopyReport",
    "notebooks": "client OAuthClient, me TokenSource",
    "open-finance-sign-in": "sandbox testing.Sandbox, client OAuthClient, alice TokenSource",
    "pandas-and-polars": "client OAuthClient, alice TokenSource",
    "policy": "policy RenewalPolicy, client OAuthClient",
    "protected-resources": "api ProtectedResource",
    "prove-it-survives/test_survival.py": "",
    "prove-who-the-client-is": "client OAuthClient, alice TokenSource, bank Provider",
    "README": "client OAuthClient",
    "register-the-client": "metadata ClientMetadata, api ProtectedResource",
    "requests-oauth2client": "client OAuthClient, alice TokenSource, token Token",
    "requests-oauthlib": "client OAuthClient, alice TokenSource, token Token",
    "serve-many-banks": "sandbox testing.Sandbox",
    "serverless/handler.py": "client OAuthClient",
    "service": "sandbox testing.Sandbox",
    "sign-in-from-a-request": "api ProtectedResource, auth Auth",
    "step-up-and-consent": "sandbox testing.Sandbox, client OAuthClient, alice TokenSource",
    "test-with-the-sandbox": "clock testing.Clock, sandbox testing.Sandbox",
    "use-inside-api-clients": "client OAuthClient, alice TokenSource",
    "use-postgresql-or-redis": "store SQLStore, provider Provider, client OAuthClient",
    "websockets": "client OAuthClient, alice TokenSource",
    "workers/app.py": "",
    "workers/oauth.py": "client OAuthClient",
    "workers/wsgi.py": "",
    "write-a-store": "provider Provider, client OAuthClient",
}
"""What the examples of a module make: each name, and its type in `blnk_auth`. A module that is missing fails."""

_MAKES = re.compile(r"^\w+ = |^with .* as \w+:", re.MULTILINE)


def blocks() -> Iterator[tuple[Path, int, Block]]:
    """Every Python block of every page, with its page and its number there."""
    for page in (*DOCUMENTS, *ELSEWHERE):
        for number, block in enumerate(python_blocks(page.read_text("utf-8")), start=1):
            yield page, number, block


def name_of(page: Path) -> str:
    """How the tables here name a page."""
    return page.relative_to(ROOT).as_posix()


def examples(unchecked: Container[tuple[str, int]] = UNCHECKED) -> dict[str, list[Block]]:
    """The blocks of each module, by the page's name, with the file's if they are a file of their own."""
    modules: dict[str, list[Block]] = {}
    for page, number, block in blocks():
        if (name_of(page), number) not in unchecked:
            name = page.stem if block.file is None else f"{page.stem}/{block.file}"
            modules.setdefault(name, []).append(block)
    return modules


def module_of(name: str) -> str:
    """The name of the module of an example: one of its own, since a module called fastapi would hide the package."""
    return "example_" + name.removesuffix(".py").replace("-", "_").replace("/", "_").lower()


def source_of(name: str, parts: Iterable[Block], others: Iterable[str]) -> str:
    """The source of a module, with the lines of its page; it imports the page's other files by their names here."""
    source = ""
    for block in parts:
        source += "\n" * (block.line - 1 - source.count("\n")) + block.source
    page = name.partition("/")[0]
    for other in others:
        if other.startswith(f"{page}/"):
            file = other.removeprefix(f"{page}/").removesuffix(".py")
            source = re.sub(rf"(?m)^(from|import) {file}\b", rf"\1 {module_of(other)}", source)
    return source


def with_types(source: str) -> str:
    """The source with the types of `PARAMETERS`, and with the imports that these need in its first line."""
    lines = source.split("\n")
    added = sorted(unannotated(source), key=lambda each: (each.end_lineno or 0, each.end_col_offset or 0), reverse=True)
    for parameter in added:
        row, column = (parameter.end_lineno or 0) - 1, parameter.end_col_offset or 0
        lines[row] = f'{lines[row][:column]}: "{PARAMETERS[parameter.arg]}"{lines[row][column:]}'
    types = " ".join(PARAMETERS[parameter.arg] for parameter in added)
    homes = {each.rpartition(".")[0] for each in re.findall(r"[\w.]+\.\w+", types)}
    lines[0] += "; ".join(f"import {home}" for home in sorted(homes))
    return "\n".join(lines)


def unannotated(source: str) -> list[ast.arg]:
    """The parameters of a module's functions that have no annotation, without `self`."""
    found: list[ast.arg] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg]
            found += [each for each in (*parameters, node.args.kwarg) if each is not None]
    return [each for each in found if each.annotation is None and each.arg != "self"]


def asserted_results(name: str, source: str) -> str:
    """An `assert_type` for each name of our types that the examples of a module make."""
    if name not in RESULTS and not _MAKES.search(source):
        return ""
    if name not in RESULTS:
        raise SystemExit(f"RESULTS has no line for the examples of {name}")
    results = [result.split() for result in RESULTS[name].split(", ") if result]
    homes = {f"blnk_auth.{type_name}".rpartition(".")[0] for _, type_name in results}
    lines = [f"import {home}" for home in sorted({"typing", *homes} if results else ())]
    lines += [f"typing.assert_type({made}, blnk_auth.{type_name})" for made, type_name in results]
    return "\n".join(lines)


def packages(source: str) -> set[str]:
    """Every module that a source imports by its full name, `a.b` of `from a.b import c`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def write(directory: Path) -> None:
    """The modules, the types of `OF_ANY_TYPE` beside them, and the settings of both checkers."""
    modules = examples()
    imported: set[str] = set()
    for name, parts in modules.items():
        source = source_of(name, parts, modules)
        imported |= packages(source)
        text = f"{with_types(source)}\n{asserted_results(name, source)}\n"
        if name in PARTLY_TYPED:
            text += "".join(f"# pyright: {report}=false\n" for report in PARTLY_TYPED[name][0].split())
        (directory / f"{module_of(name)}.py").write_text(text, "utf-8")
    for each in imported:
        if each.partition(".")[0] in OF_ANY_TYPE:
            write_any(directory / "typings", each)
    pyright = {"typeCheckingMode": "strict", "exclude": ["typings"], **dict.fromkeys(NOT_IN_PYRIGHT, "none")}
    (directory / "pyrightconfig.json").write_text(json.dumps(pyright))
    mypy = ["[mypy]", "strict = true", *NOT_IN_MYPY]
    (directory / "mypy.ini").write_text("\n".join(mypy))


def write_any(directory: Path, module: str) -> None:
    """A stub for a module and for each package around it, in which everything is Any."""
    for part in module.split("."):
        directory /= part
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "__init__.pyi").write_text("import typing\ndef __getattr__(name: str) -> typing.Any: ...\n")
