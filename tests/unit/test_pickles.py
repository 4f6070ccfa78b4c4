"""Pickles name public paths only, and those that the first commits of 0.1.0 made are still read.

`tests/data/pickles_of_0_1.json` holds base64 pickles of protocols 2 and 5, made before the modules were moved. No
secret is in them.
"""

from __future__ import annotations

import atexit
import base64
import dataclasses
import functools
import importlib
import inspect
import pickle
import pickletools
import pydoc
import shutil
import subprocess
import sys
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.errors import raises
from support.pickled import ACME, BLINK, EARLIER, ERRORS, VALUES
from support.public_names import public_modules

import blnk_auth
from blnk_auth import (
    AiohttpAuth,
    ApiAnswer,
    Auth,
    BLink,
    BlnkAuthError,
    BlnkCloud,
    Call,
    ConfigurationError,
    Flinks,
    Httpx2Auth,
    HttpxAuth,
    MemoryStore,
    OAuthClient,
    Provider,
    Refusal,
    RenewalPolicy,
    RequestsAuth,
    Signer,
    StaticToken,
    TemporarilyUnavailable,
)
from blnk_auth.errors import NotPickled
from blnk_auth.provider import ProviderSettings
from blnk_auth.providers import BLinkCustomer
from blnk_auth.stores import CopyReport
from blnk_auth.testing import Fault

EARLIER_DIRECTORY = b"/tmp/blnk-auth-0.1.0"
"""Where the stores of the committed pickles were."""


@functools.cache
def our_directory() -> bytes:
    """One of this process's own: what another checkout stores there may be newer. As long, as the pickle counts it."""
    path = tempfile.mkdtemp(prefix="blnk-au", dir="/tmp")
    atexit.register(shutil.rmtree, path)
    assert len(path) == len(EARLIER_DIRECTORY)
    return path.encode()


def earlier(name: str) -> Any:
    """The value of one of the committed pickles, named with its protocol."""
    return pickle.loads(base64.b64decode(EARLIER[name]).replace(EARLIER_DIRECTORY, our_directory()))


def names_in(pickled: bytes) -> Iterator[tuple[str, str]]:
    """Module and name of each global that a pickle of protocol 2 or less names."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            yield module, name


def private_names_in(value: object) -> list[str]:
    """What a pickle of `value` names of this package that is not public."""
    found: list[str] = []
    for module, name in names_in(pickle.dumps(value, protocol=2)):
        if module.partition(".")[0] == "blnk_auth":
            home = importlib.import_module(module)
            if "._" in module or name.startswith("_") or name not in getattr(home, "__all__", [name]):
                found.append(f"{module}.{name}")
    return found


# --- pickles of today ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", public_modules())
def test_every_public_name_is_pickled_by_its_public_home(path: str) -> None:
    """Each class, function and type that an `__all__` lists.

    Modules are never pickled. The tables of `blnk_auth.stores.metadata` are an object of SQLAlchemy's, with private
    types of columns, and nobody keeps a pickle of them.
    """
    module = importlib.import_module(path)
    values = {name: getattr(module, name) for name in module.__all__ if name != "metadata"}
    private = {name: private_names_in(each) for name, each in values.items() if not inspect.ismodule(each)}
    assert {name: found for name, found in private.items() if found} == {}


@pytest.mark.parametrize("cls", [Call, ApiAnswer, Refusal, Signer, Fault, CopyReport, BLinkCustomer, ProviderSettings])
def test_a_class_that_is_at_home_elsewhere_has_its_types(cls: type) -> None:
    """What its annotations name is looked up where it is defined."""
    assert typing.get_type_hints(cls)
    assert cls.__name__ in pydoc.render_doc(cls)


@pytest.mark.parametrize("value", [*VALUES.values(), BLINK], ids=[*VALUES, "blink"])
def test_a_pickled_value_names_public_paths_only(value: object) -> None:
    """So that a module can be moved without making anybody's pickles unreadable."""
    assert private_names_in(value) == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_pickled_error_names_public_paths_only(error: BlnkAuthError) -> None:
    """Errors travel between processes, as in a process pool."""
    assert private_names_in(error) == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", VALUES)
def test_a_value_survives_a_pickle(name: str, protocol: int) -> None:
    """Of every protocol."""
    again = pickle.loads(pickle.dumps(VALUES[name], protocol=protocol))
    assert type(again) is type(VALUES[name])
    assert again == VALUES[name]


@pytest.mark.parametrize("again", [pickle.loads(pickle.dumps(BLINK)), earlier("blink.2"), earlier("blink.5")])
def test_what_a_provider_asks_its_own_methods_for_is_the_same(again: Provider) -> None:
    """BLink's settings are methods of an object that knows the customer: they are compared by what they return."""
    call = Call("refresh_token", "alice", target="IIDX99999")
    for provider in (again, BLINK):
        headers = dict(provider.token_headers_of(call))
        assert headers.pop("X-Correlation-ID")
        assert headers == {
            "X-CorAPI-Target-ID": "IIDX99999",
            "User-Agent": "Acme 1.0",
            "X-PSU-IP-Address": "AUTO",
            "X-PSU-User-Agent": "AUTO",
        }
        assert provider.token_parameters_of(call, reserved=()) == {"username": "u"}
        assert provider.target_of("alice") == "IIDX99999"
    assert again.environment == BLINK.environment


def test_a_pickle_of_a_newer_version_with_fewer_defaults_is_read() -> None:
    """What a pickle does not name is the default: a field may be added without making older pickles unreadable."""
    made = RenewalPolicy.__new__(RenewalPolicy)
    made.__setstate__({"jitter": 0.1})  # type: ignore[attr-defined]
    assert made == RenewalPolicy(jitter=0.1)


def secret() -> str:
    """A secret that is fetched, and so travels by its name."""
    return "fetched-s3cret"


def fixed_time() -> float:
    """A clock."""
    return 1_800_000_000.0


class Store(MemoryStore):
    """A store with a public path: this module's."""


def made_client(provider: Provider = ACME, **settings: Any) -> OAuthClient:
    """A client with most settings."""
    given: dict[str, Any] = {
        "client_id": "id",
        "client_secret": secret,
        "redirect_uri": "https://app.test/callback",
        "store": Store(),
        "policy": RenewalPolicy(jitter=0.1),
        "proxy": "http://user:pr0xy-pass@proxy.test:3128",
        "on_event": print,
        **settings,
    }
    return OAuthClient(provider, **given)


HOLDERS: dict[str, Any] = {
    "client": lambda client: client,
    "source of a subject": lambda client: client.for_subject("alice"),
    "source of the client": lambda client: client.for_itself(scope="x"),
    "AiohttpAuth": lambda client: AiohttpAuth(client.for_subject("alice")),
    "Auth": lambda client: Auth(client.for_subject("alice")),
    "HttpxAuth": lambda client: HttpxAuth(client.for_subject("alice")),
    "Httpx2Auth": lambda client: Httpx2Auth(client.for_subject("alice")),
    "RequestsAuth": lambda client: RequestsAuth(client.for_subject("alice")),
}
"""Everything that carries a client's settings in its pickle."""


@pytest.mark.parametrize("provider", [ACME, BlnkCloud(), BLINK, Flinks(host="ob.flinksapp.com")])
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_pickled_client_names_public_paths_only(holder: str, provider: Provider) -> None:
    """So do its sources, and the auth objects that were made of them."""
    grants = ("authorization_code", "refresh_token", "client_credentials")
    provider = dataclasses.replace(provider, client_auth="client_secret_post", grants=grants)
    made = HOLDERS[holder](made_client(provider))
    assert private_names_in(made) == []
    restored = pickle.loads(pickle.dumps(made))
    assert type(restored) is type(made)
    assert repr(restored) == repr(made)


def test_a_pickled_client_is_the_same_without_its_secrets() -> None:
    """Its settings travel; the password of the proxy, the listener and what is in memory do not."""
    made = made_client(client_auth="client_secret_post", clock=fixed_time)
    pickled = pickle.dumps(made)
    assert b"pr0xy-pass" not in pickled
    assert b"s3cret" not in pickled
    state = pickle.loads(pickled)._state
    assert state.provider == ACME
    assert state.policy == RenewalPolicy(jitter=0.1)
    assert (state.credentials.client_id, state.credentials.method) == ("id", "client_secret_post")
    assert state.credentials.secret() == "fetched-s3cret"
    assert state.redirect_uri == "https://app.test/callback"
    assert state.network.proxy == "http://proxy.test:3128"
    assert state.operations._on_event is None
    assert (type(state.store), state.clock) == (Store, fixed_time)


def test_sources_and_their_client_stay_together_in_a_pickle() -> None:
    """They share one renewal afterwards too, whichever comes first in the pickle."""
    client = made_client()
    source = client.for_subject("alice")
    restored, again, first = pickle.loads(pickle.dumps((source, client, source)))
    assert restored is again.for_subject("alice") is first
    one, other = pickle.loads(pickle.dumps([client.for_subject("alice"), client.for_subject("alice")]))
    assert one is other


def test_a_pickled_response_names_public_paths_only() -> None:
    """The request of a response has our hook, which does nothing afterwards."""
    auth = RequestsAuth(StaticToken("k3y-of-alice", api_origins=("https://api.acme.test",), header="X-Key"))
    response = requests.Response()
    response.status_code = 401
    response.request = requests.Request("GET", "https://api.acme.test/x", auth=auth).prepare()
    assert private_names_in(response.request.hooks) == []
    (hook,) = pickle.loads(pickle.dumps(response.request.hooks))["response"]
    assert hook(response, timeout=1.0) is None


def test_a_source_whose_client_is_freed_is_pickled() -> None:
    """Nothing else refers to the client any more."""
    source = made_client().for_subject("alice")
    assert pickle.loads(pickle.dumps(source)).store_key == source.store_key


def test_a_source_for_one_bank_stays_for_that_bank() -> None:
    """Also if the callable that names the bank returns another one by then."""
    banks = iter(["IIDP1", "IIDP2", "IIDP3"])
    provider = BLink(
        base_url="https://api.b.test",
        target_id="IIDP1",
        username="u",
        user_agent="Acme 1.0",
        client_auth="none",
    )
    asked = dataclasses.replace(provider, target=lambda subject: next(banks))
    source = OAuthClient(asked, client_id="id").for_subject("alice")
    values = source.__reduce__()[1]
    assert values == ({"grant_type": "refresh_token", "subject": "alice", "target": "IIDP1"},)


def test_a_clients_subclass_stays_one() -> None:
    """Also where only one of its sources was kept."""
    source = Client(ACME, client_id="id", client_secret=secret, store=Store()).for_subject("alice")
    client = pickle.loads(pickle.dumps(source))._current.state.client()
    assert type(client) is Client


class Client(OAuthClient):
    """A user's own client."""


# --- pickles of the first commits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"signer"}))
def test_an_earlier_pickle_of_a_value_is_read(name: str, protocol: int) -> None:
    """To a value that is equal to one made today."""
    again = earlier(f"{name}.{protocol}")
    assert type(again) is type(VALUES[name])
    assert again == VALUES[name]


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_earlier_pickle_of_an_error_is_read(error: BlnkAuthError, protocol: int) -> None:
    """With the fields that it had."""
    again = earlier(f"error_{type(error).__name__}.{protocol}")
    assert type(again) is type(error)
    assert (str(again), again.fields()) == (str(error), error.fields())


@pytest.mark.parametrize("protocol", [2, 5])
def test_other_earlier_pickles_are_read(protocol: int) -> None:
    """A signer, an event with its error, an error as httpx raised it, and responses of an API."""
    assert earlier(f"signer.{protocol}").algorithm == "ES256"
    assert earlier(f"event_with_error.{protocol}").error.retry_after == 3.0
    assert type(earlier(f"error_dressed.{protocol}")) is TemporarilyUnavailable
    assert earlier(f"requests_response.{protocol}").status_code == 200
    assert earlier(f"httpx_response.{protocol}").status_code == 200
    assert "x-key" not in earlier(f"httpx_request_headers.{protocol}")
    assert earlier(f"blink_callables.{protocol}").display_name == "bLink"


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", ["memory", "file", "sqlite", "sql", "redis", "encrypted"])
def test_an_earlier_pickle_of_a_store_is_read(name: str, protocol: int) -> None:
    """To the store of the same name, at the same place."""
    store = earlier(f"store_{name}.{protocol}")
    kinds = {"sql": "SQLStore", "sqlite": "SQLiteStore"}
    assert type(store).__name__ == kinds.get(name, f"{name.capitalize()}Store")


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", ["memory", "file", "sqlite"])
def test_an_earlier_pickle_of_a_client_is_read(name: str, protocol: int) -> None:
    """With its settings, and a secret that is fetched: here, the name of the working directory."""
    client = earlier(f"client_{name}.{protocol}")
    assert client.for_subject("alice").subject == "alice"
    assert client.redirect_uri == "https://app.test/callback"
    assert client._state.credentials.secret() == str(Path.cwd())


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(("name", "parameter"), [("secret_text", "client_secret"), ("key", "private_key")])
def test_a_secret_that_an_earlier_pickle_left_out_is_named_when_it_is_needed(
    name: str, parameter: str, protocol: int
) -> None:
    """As it was."""
    client = earlier(f"client_{name}.{protocol}")
    with pytest.raises(ConfigurationError) as raised:
        client._state.credentials.prove(audience="x", now=0.0)
    assert raised.value.parameter == parameter


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", ["blnk", "blink", "flinks"])
def test_an_earlier_pickle_of_a_providers_client_is_read(name: str, protocol: int) -> None:
    """With the provider's rules as they are today."""
    client = earlier(f"{name}_client.{protocol}")
    assert client.provider.name == {"blnk": "blnk_cloud"}.get(name, name)
    assert private_names_in(client.provider) == []


@pytest.mark.parametrize("protocol", [2, 5])
def test_earlier_pickles_of_sources_and_auth_objects_are_read(protocol: int) -> None:
    """To sources with the same store keys, and auth objects that send their tokens."""
    key = "token/acme/https%3A%2F%2Fas.acme.test/id"
    assert earlier(f"source_subject.{protocol}").store_key == f"{key}/subject/alice"
    assert earlier(f"source_itself.{protocol}").store_key == f"{key}/itself/x"
    assert "IIDX99999" in earlier(f"blink_source.{protocol}").store_key
    for name in ("httpx_auth", "httpx2_auth", "requests_auth"):
        assert f"{key}/subject/alice" in repr(earlier(f"{name}.{protocol}"))
    assert f"{key}/subject/alice" in repr(earlier(f"requests_session.{protocol}").auth)


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_client_and_its_sources_come_out_of_an_earlier_pickle_together(protocol: int) -> None:
    """They shared a renewal, and do again."""
    client, alice, bob = earlier(f"blink_client_and_source.{protocol}")
    assert client.for_subject("alice") is alice
    assert client.for_subject("bob") is bob


def test_reading_earlier_pickles_adds_nothing_to_a_source() -> None:
    """What users see of it is what is documented."""
    assert not hasattr(made_client().for_subject("alice"), "of")


@pytest.mark.real
def test_only_a_pickle_loads_what_reads_earlier_ones() -> None:
    """It costs nothing to those who have none, and the modules that have moved are not listed anywhere."""
    code = (
        "import sys, pkgutil, blnk_auth, blnk_auth.client, blnk_auth.httpx\n"
        "assert 'blnk_auth._pickles' not in sys.modules\n"
        "assert 'shells' not in {found.name for found in pkgutil.iter_modules(blnk_auth.__path__)}\n"
        "assert not hasattr(blnk_auth, 'engine')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_module_that_was_never_there_is_not_found() -> None:
    """A misspelt import fails as ever, and so does a name that a moved module never had."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("blnk_auth.no_such_module")
    moved = importlib.import_module("blnk_auth.engine")
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = moved.no_such_name


def test_every_name_that_was_moved_leads_to_something() -> None:
    """The table has no entry that leads nowhere."""
    table = importlib.import_module("blnk_auth._pickles")
    for name in table._NAMES:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(f"{blnk_auth.__name__}.{module}"), attribute) is not None


def test_a_secret_that_was_not_pickled_is_named_when_it_is_needed() -> None:
    """Its replacement names what to do, and can be pickled again."""
    absent = pickle.loads(pickle.dumps(NotPickled("client_secret")))
    with raises(ConfigurationError, parameter="client_secret", shows="callable"):
        absent()
