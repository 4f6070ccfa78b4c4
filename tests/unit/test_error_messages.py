"""The message of every error, read from the source: the one place where tests look at the words.

Elsewhere tests look at fields, so a message can be reworded; here the rewording shows, in one text.
"""

from __future__ import annotations

import pytest
from support.messages import FILE, Message, messages, written

ALL = list(messages())


WITHOUT_REMEDY = {
    "_protocol.token_response": "what there is to do depends on the error that is refined here",
    "_protocol.http_values": "the problem describes what must be given",
    "_protocol.origins": "the problem describes what must be given",
    "_protocol.requests": "nothing helps: the provider cannot do it",
    "_renewal.renewal": "the error of the attempt is passed on",
    "_renewal.token_endpoint": "the error of the attempt is passed on",
    "_sign_in": "the problem describes what must be given",
    "_transport": "the problem describes what must be given",
    "cli": "the problem describes what must be given",
    "config": "the problem describes what must be given",
    "policy": "the problem describes what a number must be",
    "source": "the problem describes what must be given",
    "stores._async_adapter": "the store's author knows what it raised",
    "stores._calls": "the store's author knows what it raised",
    "stores._redis": "the problem describes what must be given",
}
"""Modules with messages that need none, each with the reason."""


def names(message: Message) -> str:
    return f"{message.module}: {message.problem[:60]}"


def test_the_messages_are_what_was_decided() -> None:
    """If a message was reworded as it should be: make snapshots."""
    assert written().splitlines() == FILE.read_text("utf-8").splitlines()


@pytest.mark.parametrize("message", ALL, ids=names)
def test_a_message_names_what_is_wrong_and_what_to_do(message: Message) -> None:
    """Two parts, no full stop at the end of either, naming the parameter that is wrong; `test_words.py` sees the
    words.
    """
    for text in (message.problem, message.remedy or ""):
        assert not text.removesuffix("...").endswith((".", ";", ","))
        assert text == text.strip()

    assert "; " not in message.problem.replace("'; '", "")
    assert message.problem
    allowed = any(message.module == name or message.module.startswith(f"{name}.") for name in WITHOUT_REMEDY)
    assert message.remedy or allowed


def test_there_are_messages_to_look_at() -> None:
    """The search finds what the package raises."""
    assert len(ALL) > 150
    assert {message.error for message in ALL} >= {"ConfigurationError", "StoreError", "SignInRequired"}
