"""`Auth` as an object: copies, pickles, subclasses, and `isinstance`. Sending is in the scenarios."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
import pytest
import requests
from requests.auth import AuthBase
from support.providers import acme
from support.scripted import ScriptedWorld

from blnk_auth import Auth, HttpxAuth, OAuthClient, TokenSource

URL = "https://api.acme.test/x"


class Own(Auth):
    """A subclass of a user's."""


def source() -> TokenSource:
    return OAuthClient(acme(), client_id="id", client_secret=str).for_subject("alice")


@pytest.mark.parametrize("auth_class", [Auth, Own])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda auth: pickle.loads(pickle.dumps(auth))])
def test_a_duplicate_is_of_the_same_class_and_the_same_source(auth_class: Any, duplicate: Any) -> None:
    """As of `HttpxAuth`, also after the object was used and asked for its class."""
    auth = auth_class(source())
    assert isinstance(auth, httpx.Auth)
    next(auth.sync_auth_flow(httpx.Request("GET", "https://elsewhere.test")))
    made = duplicate(auth)
    assert type(made) is auth_class
    assert repr(made) == repr(auth)
    assert type(made._source) is type(duplicate(HttpxAuth(auth._source))._source)
    next(made.sync_auth_flow(httpx2.Request("GET", "https://elsewhere.test")))


def test_it_is_never_false() -> None:
    """Requests and httpx leave out an auth object that is."""
    assert Auth(source())


@pytest.mark.parametrize("auth_class", [Auth, Own])
def test_it_is_an_instance_of_what_the_clients_ask_for(auth_class: Any) -> None:
    """And of nothing else that they ask for: a tuple is a name and a password, a mapping is merged."""
    auth = auth_class(source())
    assert isinstance(auth, auth_class)
    assert all(isinstance(auth, each) for each in (Auth, AuthBase, httpx.Auth, httpx2.Auth))
    assert not any(isinstance(auth, each) for each in (tuple, str, Mapping, httpx.BasicAuth, HttpxAuth))
    assert isinstance(auth, Own) == (auth_class is Own)


@pytest.mark.parametrize("auth_class", [Auth, Own])
def test_another_one_made_by_its_class_is_of_the_same_type(auth_class: Any) -> None:
    """Code that makes a similar object calls `auth.__class__`."""
    auth = auth_class(source())
    made = auth.__class__(auth._source)
    assert type(made) is auth_class
    assert repr(made) == repr(auth)
    assert (auth.__class__.__name__, auth.__class__.__module__) == (auth_class.__name__, auth_class.__module__)


class OwnRequest(httpx.Request):
    """A request class of a user's."""


def test_a_request_of_a_subclass_belongs_to_its_package() -> None:
    """It gets the token as any other."""
    request = OwnRequest("GET", URL)
    next(Auth(ScriptedWorld().signed_in()).sync_auth_flow(request))
    assert request.headers["Authorization"] == "Bearer at0"


def test_one_object_serves_all_packages_at_the_same_time() -> None:
    """Each request has the headers of its own package."""
    auth = Auth(ScriptedWorld().signed_in())
    for package in (httpx, httpx2, httpx):
        request: Any = package.Request("GET", URL)
        next(auth.sync_auth_flow(request))
        assert type(request.headers) is package.Headers
        assert request.headers["Authorization"] == "Bearer at0"
    prepared = requests.Request("GET", URL, auth=auth).prepare()
    assert prepared.headers["Authorization"] == "Bearer at0"
