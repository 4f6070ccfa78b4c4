"""Sources of a protected resource for which something is presented: which is which, and what a pickle has of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from support.errors import raises

from blnk_auth import ConfigurationError, ProtectedResource, TokenSource

URL = "https://api.test/mcp"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def exchanged(api: ProtectedResource, token: str) -> TokenSource:
    return api.for_token_exchange(subject_token=token, subject_token_type=ACCESS_TOKEN)


def test_what_is_presented_distinguishes_sources() -> None:
    """The same text is the same source, another one another; and so is another subject or scope."""
    api = ProtectedResource(URL)
    one = api.for_assertion(assertion="a.b.c")
    assert api.for_assertion(assertion="a.b.c") is one
    others = [
        api.for_assertion(assertion="d.e.f"),
        api.for_assertion(assertion="a.b.c", subject="alice"),
        api.for_assertion(assertion="a.b.c", scope="read"),
        exchanged(api, "a.b.c"),
    ]
    assert len({id(each) for each in (one, *others)}) == 5
    assert exchanged(api, "a.b.c") is others[-1]


def test_the_newest_callable_of_a_subject_has_a_source_of_its_own() -> None:
    """The callable that a request calls is that of its source."""
    api = ProtectedResource(URL)
    first, second = (lambda: "a"), (lambda: "b")
    source = api.for_assertion(assertion=first, subject="alice")
    assert api.for_assertion(assertion=first, subject="alice") is source
    assert api.for_assertion(assertion=second, subject="alice") is not source
    assert source.subject == "alice"


def test_a_pickle_has_no_assertion(tmp_path: Path) -> None:
    """Another process finds the grant in the store, and needs the assertion again only for a renewal."""
    api = ProtectedResource(URL, store=f"sqlite:///{tmp_path}/tokens.db")
    for source in (api.for_assertion(assertion="secret.of.mine"), exchanged(api, "secret.of.mine")):
        pickled = pickle.dumps(source)
        assert b"secret.of.mine" not in pickled
        assert isinstance(pickle.loads(pickled), TokenSource)


@pytest.mark.parametrize("wrong", ["", "a b\n", 7])
def test_what_cannot_be_presented_is_refused(wrong: object) -> None:
    """When the source is made, by the name of the argument."""
    api = ProtectedResource(URL)
    with raises(ConfigurationError, parameter="assertion"):
        api.for_assertion(assertion=wrong)  # type: ignore[arg-type]
    with raises(ConfigurationError, parameter="subject_token"):
        api.for_token_exchange(subject_token=wrong, subject_token_type=ACCESS_TOKEN)  # type: ignore[arg-type]
    with raises(ConfigurationError, parameter="subject_token_type"):
        api.for_token_exchange(subject_token="a", subject_token_type="jwt")
