"""The reference: its generated parts are what `make snapshots` writes, and nothing is left out or too much."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import ast
import functools
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from support.generated import commands, errors
from support.imports import PACKAGE, syntax_tree
from support.reference import KINDS, PAGES, PART, pages, parts, written

import blnk_auth
import blnk_auth.providers
import blnk_auth.testing
from blnk_auth import EventName, workload_identity
from blnk_auth._transport import network
from blnk_auth.cli import variables
from blnk_auth.config._settings import every_setting

NAMES = [path.name for path in pages()]


@functools.cache
def text_of(page: str) -> str:
    return (PAGES / page).read_text("utf-8")


@pytest.mark.parametrize("page", NAMES)
def test_a_page_is_what_the_script_writes(page: str) -> None:
    """If it differs, and what has changed is right: make snapshots."""
    assert written(text_of(page)).splitlines() == text_of(page).splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_has_one_place(kind: str) -> None:
    """A new command, event, error class or provider appears in the reference, and one that was removed disappears."""
    found = [name for each, name in parts(map(text_of, NAMES)) if each == kind]
    assert sorted(found) == sorted(KINDS[kind].names())
    assert found


def test_every_command_is_in_the_list() -> None:
    """The first table of the page leads to the section of each command."""
    text = text_of("command-line.md")
    linked = set(re.findall(r"\(#blnk-auth-([\w-]+)\)", text.partition("## ")[0]))
    assert linked == {name.replace(" ", "-") for name in commands.commands()}
    headings = re.findall(r"^##+ blnk-auth (.+)\n\n<!-- generated: command (.+) -->$", text, re.MULTILINE)
    assert [heading for heading, _ in headings] == [name for _, name in headings] == list(commands.commands())


@pytest.mark.parametrize("name", commands.commands())
def test_every_option_that_help_shows_is_on_the_page(name: str) -> None:
    """Of each command, its help as click prints it: an option, its default, and an argument."""
    command = commands.commands()[name]
    on_page = commands.command(name) + commands.shared()
    with click.Context(command, info_name=name) as context:
        lines = command.get_help(context)
    shown = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", lines, re.MULTILINE)) - {"--help"}
    settings = {each.option for each in every_setting() if "each [setting](configuration.md)" in on_page}
    assert {option for option in shown if option not in on_page} <= settings
    for argument in lines.splitlines()[0].split(name, 1)[1].replace("[OPTIONS]", "").split():
        assert argument.strip("[].") in on_page.replace("COMMAND", "COMMAND [ARGS]...")


def test_every_event_that_is_emitted_has_a_heading() -> None:
    """And no event has one that nothing emits: each name is written in a module beside the one that lists them."""
    headings = re.findall(r"^### (\w+)\n\n<!-- generated: event (\w+) -->$", text_of("events.md"), re.MULTILINE)
    assert all(heading == name for heading, name in headings)
    strings = {
        node.value
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "events.py" and "cli" not in path.parts and "testing" not in path.parts
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Constant)
    }
    emitted = {name for name in get_args(EventName) if name in strings}
    assert {heading for heading, _ in headings} == emitted == set(get_args(EventName))


def test_the_reasons_for_messages_without_words_are_needed() -> None:
    """A message that nobody could recognize is not on the page, and is listed with the reason; every other one is."""
    assert errors.without_words() == set(errors.WITHOUT_WORDS)
    page = text_of("error-messages.md")
    for message, entry in errors.all_entries():
        assert f"#### {errors.escaped(entry.problem)}\n" in page, message


@pytest.mark.parametrize(
    ("pasted", "remedy"),
    [
        ("client_auth 'client_secret' is unknown; use one of client_secret_basic", "use one of client_secret_basic"),
        ("nothing is stored for subject 'me': it was never authorized here", "start_authorization()"),
        ("the lock of key 'token/acme/https%3A%2F%2Fas.test' was not free within", "allow a longer timeout"),
        ("api_origins must not be empty: no request could carry the token", "list the origins of the API"),
        ("token_endpoint uses http to 'as.test', where a secret could be read on the way", "use https"),
    ],
)
def test_a_pasted_message_is_found_with_its_remedy(pasted: str, remedy: str) -> None:
    """The search of the site wants every word. It splits the page and what is pasted at the same separators, which
    take a value in quotation marks with them; and a message has a name for what differs.
    """
    configuration = tomllib.loads((PAGES.parents[1] / "zensical.toml").read_text("utf-8"))
    separator = configuration["project"]["plugins"]["search"]["separator"]
    plain = re.sub(r"\\(.)", r"\1", text_of("error-messages.md"))
    parameters = {"api_origins", "token_endpoint"}
    wanted = {word for word in re.split(separator, pasted) if word} - {*re.split(separator, " ".join(parameters))}
    found = [part for part in plain.split("\n#### ") if wanted <= {*re.split(separator, part)}]
    assert 0 < len(found) < 3
    assert any(remedy in part for part in found)


def test_every_variable_that_is_read_is_listed() -> None:
    """Each environment variable that the package reads by its name."""
    read = {
        name
        for path in PACKAGE.rglob("*.py")
        if not {"demo", "testing"} & {*path.parts}
        for name in re.findall(
            r"environ(?:\.get\(|\[)\"([A-Z_]+)\"|\"([A-Z_]+)\" in os\.environ", path.read_text("utf-8")
        )
        for name in name
        if name
    }
    read |= {*network._PROXY_VARIABLES, workload_identity._REQUEST_URL, workload_identity._REQUEST_TOKEN}
    read |= {f"BLNK_AUTH_{name}" for name in variables._OTHERS}
    missing = {name for name in read if f"`{name}`" not in text_of("configuration.md")}
    assert missing == set()
    assert len(read) > 7


def test_every_provider_is_on_the_page() -> None:
    """The three that have a sandbox in the table, the other profiles in the list."""
    makers = {name for name in blnk_auth.providers.__all__ if re.match(r"[A-Z][a-zA-Z]*[a-z]", name)}
    page = text_of("providers.md")
    shown = {
        "BLink": "bLink (SIX)",
        "BLinkCustomer": "bLink (SIX)",
        "BlnkCloud": "Blnk Cloud",
        "Flinks": "Flinks Outbound",
    }
    assert {name for name in makers if shown.get(name, f"`{name}`") not in page} == set()
    assert makers > {"BLink", "TrueLayer"}


def test_the_names_of_the_glossary_exist() -> None:
    """Each name behind `In the API:` is a public name or a member of one."""
    lines = re.findall(r"^In the API: (.*)\.$", text_of("glossary.md"), re.MULTILINE)
    names = {name for line in lines for name in re.findall(r"(?<!\[)`([A-Za-z_.]+)`", line)}
    missing = {name for name in names if not exists(name)}
    arguments = {
        (argument, owner)
        for line in lines
        for argument, owner in re.findall(r"`(\w+)=`(?: and `\w+=`)? of `([\w.]+)`", line)
    }
    missing |= {f"{owner}({argument}=)" for argument, owner in arguments if argument not in signature(owner)}
    assert missing == set()
    assert len(names) > 50
    assert len(arguments) > 5


def exists(name: str) -> bool:
    """Whether the package, or `blnk_auth.testing`, has the name; a field of a class counts as its member."""
    first, _, member = name.partition(".")
    value: Any = getattr(blnk_auth, first, None) or getattr(blnk_auth.testing, first, None)
    if value is None:
        value = getattr(blnk_auth.stores, first, None) or getattr(blnk_auth.provider, first, None)
    if value is None or not member:
        return value is not None
    return hasattr(value, member) or member in signature(first)


def signature(name: str) -> set[str]:
    value: Any = blnk_auth
    for part in name.split("."):
        value = getattr(value, part)
    return set(inspect.signature(value).parameters)


def test_a_part_that_differs_is_found() -> None:
    """Only what is between the marks is written; what a hand has written stays."""
    text = "before\n<!-- generated: policy -->\nold\n<!-- end -->\nafter\n"
    new = written(text)
    assert new.startswith("before\n<!-- generated: policy -->\n\n* **`advisory_leeway`**")
    assert new.endswith("\n\n<!-- end -->\nafter\n")
    assert PART.search(new) is not None
    assert Path(PAGES / "policy.md").exists()
