"""Every error line of the command line speaks to somebody at a terminal: of options and settings, never in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import CommandLine

import blnk_auth
from blnk_auth import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from blnk_auth.cli.exit_status import failure_of
from blnk_auth.cli.remedies import _BY_PARAMETER, message_of, remedy_of

PACKAGE = Path(blnk_auth.__file__).parent

ERRORS = {"BlnkAuthError", "ConfigurationError", "StoreError", "TemporarilyUnavailable", "ProtocolError"}
"""A SignInRequired is always followed by the command that signs in."""

PYTHON = re.compile(
    r"\w\((?!s\))"  # a call
    r"|(?<![\w?])\w+=([\"'(\w]|,)"  # a keyword argument
    r"|\bcallable\b|\btuple\b|\bfunction\b|\bNone\b|\bTrue\b|\bFalse\b"
    r"|\b(OAuthClient|Provider|TokenSource|Signer|SSLContext|Session|EncryptedStore)\b"
    r"|\bjudge_refusal\b|\bis_rejection\b|\bread_answer\b"
)
"""What no user of a terminal can follow."""

UNREACHABLE = {
    "_renewal/credential.py": "what auth classes are given",
    "_request/aiohttp_retry.py": "the command line has a client of its own",
    "_renewal/single_flight.py": "no store or callable of the command line asks for a token",
    "_renewal/client_state.py": "pickles of a client",
    "_renewal/token_endpoint.py": "the command line's own callables raise errors of the library, which pass",
    "_protocol/callables.py": "the same",
    "_sign_in/interactive_settings.py": "click has checked the options, and the rest is the command line's own",
    "_sign_in/client_many_grants.py": "click has checked what the command line passes",
    "_sign_in/wanted_grant.py": "the scope of a profile is text",
    "_sign_in/device.py": "the command line passes a prompt, and a time-out that click has checked",
    "_renewal/client_settings.py": "the command line passes none of these arguments",
    "client.py": "the command line passes none of these arguments",
    "errors/__init__.py": "pickles",
    "source.py": "arguments of Python",
    "_protocol/presented_tokens.py": "no command exchanges a token",
    "_resource/asking.py": "no command signs a user in from inside a request",
    "_resource/request_sign_in.py": "the same",
    "_resource/resource_state.py": "the command line asks first whether a URL is a protected resource",
    "resource.py": "the command line passes no client_metadata",
    "migrate.py": "arguments of Python",
    "opentelemetry.py": "the command line passes no Telemetry",
    "policy.py": "the command line passes no policy",
    "stores/_encrypted.py": "no URL names an EncryptedStore",
    "stores/_key_value.py": "no URL names a KeyValueStore",
    "stores/_simple.py": "no URL names a SimpleStore",
    "stores/_async_adapter.py": "no URL names an asynchronous store",
    "workload_identity.py": "no command exchanges a token",
    "stores/_calls.py": "a store of the user's own",
}
"""Modules whose errors no command can meet, each with the reason."""

UNREACHABLE_PARAMETERS = {
    "auth": "the command line has a client of its own",
    "resource": "the command line passes none",
    "dpop": "the command line passes none",
    "public_jwk": "the command line passes no Signer",
    "client_assertion": "no profile has one",
    "requested_token_type": "no command exchanges a token",
    "token": "what is passed to adopt",
    "judge_refusal": "no profile has one, and those of the package are right",
    "rejection_statuses": "no profile has them",
    "on_url": "the command line shows the URL",
    "token_http": "the command line passes none",
}

UNREACHABLE_REMEDIES = {
    "load the certificate into the SSLContext, or pass a CA file as verify": "verify of a profile is a file name",
    "use for_subject(), or pass subject= to StaticToken: bLink has tokens for users only": "as for --itself",
    "use for_subject(), or have the operator of the server offer this grant; if it does, and only does not list it, "
    "describe the server as the Provider of an OAuthClient": "of --itself, whose parameter has a remedy",
    "pass such a string, or return it from the callable": "the text of a profile",
}


def constants(tree: ast.AST) -> dict[str, str]:
    """The strings that a module names at its top."""
    return {
        target.id: text_of(node.value, {})
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def text_of(node: ast.AST | None, names: dict[str, str]) -> str:
    """A text as far as it is constant; `...` stands for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(each, names) for each in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, names) or "..."
    if isinstance(node, ast.BinOp):
        return text_of(node.left, names) + text_of(node.right, names)
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body, names)} | {text_of(node.orelse, names)}"
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def raised() -> Iterator[tuple[str, str, str, str | None]]:
    """Where an error is made, its problem, its remedy, and the parameter it is about, as far as they are constant."""
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith(("cli/", "testing/")) or place in UNREACHABLE:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        names = constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS and node.args:
                keywords = {each.arg: each.value for each in node.keywords}
                parameter: object = getattr(keywords.get("parameter"), "value", None)
                yield (
                    f"{place}:{node.lineno}",
                    text_of(node.args[0], names),
                    text_of(keywords.get("remedy"), names),
                    parameter if isinstance(parameter, str) else None,
                )


def test_no_remedy_in_python_reaches_a_terminal() -> None:
    """A remedy of the library that names arguments or methods is replaced, by the parameter that the error is about."""
    found = [
        f"{place}: {remedy} ({parameter})"
        for place, _, remedy, parameter in raised()
        if PYTHON.search(remedy)
        and parameter not in {*_BY_PARAMETER, *UNREACHABLE_PARAMETERS}
        and remedy not in UNREACHABLE_REMEDIES
    ]
    assert found == []


def test_no_exception_is_out_of_date() -> None:
    """Every module, parameter and remedy that is left out is still there."""
    assert [place for place in UNREACHABLE if not (PACKAGE / place).exists()] == []
    remedies = {remedy for _, _, remedy, _ in raised()}
    assert UNREACHABLE_REMEDIES.keys() - remedies == set()
    parameters = {parameter for *_, parameter in raised()}
    assert UNREACHABLE_PARAMETERS.keys() - parameters == set()


def test_the_terminals_own_remedies_have_no_python() -> None:
    """The remedy of the command line can be typed, or written in the configuration file."""
    assert [remedy for remedy in _BY_PARAMETER.values() if PYTHON.search(remedy)] == []


@pytest.mark.parametrize(
    "remedy",
    [
        "pass cert=(file, key file)",
        "call forget() and sign in again",
        'give it a callable, or client_auth="none"',
        "give OAuthClient the one registered at the provider",
        "pass pasted=, or leave listen out",
    ],
)
def test_python_is_recognized(remedy: str) -> None:
    """In each of the ways that reached terminals once."""
    assert PYTHON.search(remedy)


TABLE: tuple[tuple[BlnkAuthError, int, str], ...] = (
    (
        ConfigurationError("client_secret is missing", parameter="client_secret", remedy="pass the secret"),
        2,
        f"client_secret is missing; {_BY_PARAMETER['client_secret']}",
    ),
    (
        ConfigurationError("port 8765 is in use", parameter="port", remedy="pass listen=False"),
        2,
        f"port 8765 is in use; {_BY_PARAMETER['port']}",
    ),
    (
        ConfigurationError("the server lists other grants", parameter="for_itself", remedy="use for_subject()"),
        2,
        f"the server lists other grants; {_BY_PARAMETER['for_itself']}",
    ),
    (
        ConfigurationError("consent '4.0' is unknown", parameter="consent", remedy='use "2.0" or "3.0"'),
        2,
        'consent \'4.0\' is unknown; use "2.0" or "3.0"',
    ),
    (
        ConfigurationError("key_id is without effect"),
        2,
        "key_id is without effect",
    ),
    (
        StoreError("the record 'k' cannot be read", key="k", parameter="record", remedy="call delete('k')"),
        2,
        f"store: the record 'k' cannot be read; {_BY_PARAMETER['record']}",
    ),
    (
        StoreError("its tables are missing", parameter="schema", remedy="call create_schema() once"),
        2,
        "store: its tables are missing; create or update the tables with: blnk-auth store migrate URL",
    ),
    (StoreError("the disk is full", remedy="make room"), 2, "store: the disk is full; make room"),
    (ProtocolError("the answer is HTML", remedy="is it the right URL?"), 2, "the answer is HTML; is it the right URL?"),
    (TemporarilyUnavailable("it answered 503", remedy="try again later"), 3, "it answered 503; try again later"),
    (
        TemporarilyUnavailable("no answer came", outcome_unknown=True, remedy="try again later"),
        3,
        (
            "no answer came; run the same command again; if the server then refuses the refresh token, the request "
            "whose response was lost has spent it, and only a new sign-in helps: blnk-auth login"
        ),
    ),
    (
        SignInRequired("nothing is stored", reason="missing", subject="bob b", remedy="use start_authorization()"),
        1,
        "nothing is stored; sign in with: blnk-auth login --profile prod --subject 'bob b'",
    ),
)


@pytest.mark.parametrize(("error", "status", "line"), TABLE, ids=[error.problem for error, _, _ in TABLE])
def test_each_error_has_its_line_and_status(error: BlnkAuthError, status: int, line: str) -> None:
    """What is wrong, what to type or to write, and the exit status."""
    failure = failure_of(error, profile="prod")
    assert (str(failure), failure.status) == (line, status)


def test_a_remedy_that_is_replaced_leaves_the_error_as_it_is() -> None:
    """The error keeps its own remedy, for programs."""
    in_python = "pass listen=False"
    error = ConfigurationError("port 1 is in use", parameter="port", remedy=in_python)
    assert remedy_of(error) == _BY_PARAMETER["port"]
    assert message_of(error) == f"port 1 is in use; {_BY_PARAMETER['port']}"
    assert error.fields()["remedy"] == in_python


@pytest.mark.parametrize(
    ("secret", "remedy"),
    [
        ('"${NOT_SET}"', "set it and run again"),
        ('"keyring:nothing"', "write keyring:service/name"),
        ('"written-out"', "run chmod 600"),
        ("7", "must be text in quotes, not a number"),
    ],
)
def test_what_the_configuration_found_out_keeps_its_own_remedy(
    blnk_auth_cli: CommandLine, secret: str, remedy: str
) -> None:
    """The words for a terminal do not hide what is wrong with this very setting."""
    blnk_auth_cli.configure(client_secret=secret)
    blnk_auth_cli.file.chmod(0o644)
    refused = blnk_auth_cli.run("token")
    assert refused.exit_code == 2
    assert remedy in refused.stderr
