"""The message of every error, read from the source: the one place where tests look at the words.

Elsewhere tests look at fields, so a message can be reworded; here the rewording shows, in one text.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace

import pytest
from support.messages import FILE, NAMED, Message, messages, named_parts, written


@functools.cache
def all_messages() -> list[Message]:
    return list(messages())


WITHOUT_REMEDY = {
    (
        "_renewal.authorization_grants",
        "{grant.purpose}: {verdict.problem}",
    ): "the remedy is among the fields, which are passed on",
    (
        "config._references",
        "{str(import_failure('refers to the keyring, which', 'keyring', 'keyring', error))}",
    ): "the text of an import error has both parts",
    ("config._settings", "must be {right}, not {type_in_toml(value)}"): "what to write is in the problem",
    ("config._settings", "{*_unknown(key, str(table['provider']), known)}"): "the function returns both parts",
}
"""Messages whose remedy is not written where they are raised, each with the reason."""

WITHOUT_VALUE = {
    "value": "a secret",
    "callback_url": "it may contain the code",
    "proxy": "it may contain a password",
    "url_or_client": "it may contain a password",
    "url_or_engine": "it may contain a password",
    "name": "it may be the key itself",
    "data": "it contains tokens",
    "{parameter}": "a URL that cannot be read may contain a password",
}
"""Parameters of which a message does not show what was passed, each with the reason."""

FORMS = {
    r"ARGUMENT:? is (not |neither |empty|\{)": "for a value of the wrong kind: `name` must be ..., not ...",
    r"must be callable": "must be a callable",
    r"(?<!plain )\b(texts?|str)\b": "string",
    r"; (.* )?give\b(?! access)": "of an argument: pass",
    r"nobody (has )?entered": "the user has not entered the code in time",
}
"""What no message has, as regular expressions, and what it has instead. ARGUMENT: the parameter that is named."""


def other_forms(problem: str, remedy: str | None = None, parameter: str | None = None) -> list[str]:
    """What a message should have instead of the forms that it has. What is filled in has no form."""
    written = re.sub(r"\{[^{}]*\}", "{}", f"{problem}; {remedy or ''}")
    if parameter is not None:
        argument = re.sub(r"\{[^{}]*\}", "{}", parameter)
        written = re.sub(rf"\A{re.escape(argument)}\b|\A{re.escape(argument)}(?=[: ])", "ARGUMENT", written)
    return [instead for form, instead in FORMS.items() if re.search(form, written)]


def test_the_messages_are_what_was_decided() -> None:
    """If a message was reworded as it should be: make snapshots."""
    assert written().splitlines() == FILE.read_text("utf-8").splitlines()


def test_a_message_names_what_is_wrong_and_what_to_do() -> None:
    """Two parts, no full stop at the end of either, naming the parameter that is wrong; `test_words.py` sees the
    words.
    """
    for message in all_messages():
        for text in (message.problem, message.remedy or ""):
            assert not text.removesuffix("...").endswith((".", ";", ",")), message
            assert text == text.strip(), message

        assert "; " not in message.problem.replace("'; '", ""), message
        assert message.problem, message
        assert message.remedy or (message.module, message.problem) in WITHOUT_REMEDY, message


def test_every_exception_is_a_message_without_remedy() -> None:
    """An exception is removed when the message is changed, or gets a remedy."""
    assert {(each.module, each.problem) for each in all_messages() if not each.remedy} == set(WITHOUT_REMEDY)


def test_messages_of_one_kind_have_one_form() -> None:
    """An argument of the wrong kind is described in the same words everywhere, and a string is called a string."""
    found = {message: other_forms(message.problem, message.remedy, message.parameter) for message in all_messages()}
    assert {message: forms for message, forms in found.items() if forms} == {}


def lacks_value(message: Message) -> bool:
    """Whether it describes what an argument must be, and not what it is instead."""
    written, named = message.problem, re.escape(message.parameter or "")
    described = re.match(rf"{named} must be (a|an|the|one|two|from|None)\b", written)
    return bool(named and described) and ", not " not in written


def test_a_message_shows_what_was_passed() -> None:
    """`name` must be ..., not ...; except where what was passed may be a secret."""
    lacking = {message.parameter for message in all_messages() if lacks_value(message)}
    assert lacking - set(WITHOUT_VALUE) == set()
    assert set(WITHOUT_VALUE) - lacking == set()


def test_a_message_without_the_value_is_found() -> None:
    """For an argument that is named by a variable too."""
    other = Message("client", "ConfigurationError", "prefix must be a string", "pass one", "prefix")
    assert lacks_value(other)
    assert lacks_value(replace(other, problem="{parameter} must be a URL", parameter="{parameter}"))
    assert not lacks_value(replace(other, problem="prefix must be a string, not {quoted(prefix)}"))


@pytest.mark.parametrize(
    "message",
    [
        ("key_id is {type(self.key_id).__name__}", "pass a string", "key_id"),
        ("{parameter} is {shown}", "pass a string", "{parameter}"),
        ("keys is not a list", "pass a list", "keys"),
        ("host is empty", "pass the host", "host"),
        ("on_event must be callable", "pass a function", "on_event"),
        ("subject must be text", None, "subject"),
        ("the store returned no str", "correct it", None),
        ("grants must be a sequence", "give a sequence", "grants"),
        ("nobody entered the code in time", "start again", None),
    ],
)
def test_another_form_is_found(message: tuple[str, str | None, str | None]) -> None:
    """Each of the forms that messages had before they were given one."""
    assert len(other_forms(*message)) == 1


def test_what_is_filled_in_has_no_form() -> None:
    """Code between braces may use any name, and an argument may be what it is."""
    assert other_forms("path {str(path)} is a directory", "pass {text}, or keep tokens in plain text", "path") == []
    assert (
        other_forms("authorization_endpoint is a callable, but target is missing", None, "authorization_endpoint") == []
    )
    assert other_forms("the user did not give access", "ask again", None) == []


def test_there_are_messages_to_look_at() -> None:
    """The search finds what the package raises, and the remedies that it chooses from."""
    assert {module for module, _, _ in named_parts()} == set(NAMED)
    assert len(all_messages()) > 150
    assert {message.error for message in all_messages()} >= {"ConfigurationError", "StoreError", "SignInRequired"}
