"""A client that openapi-python-client generates here from `ledgers.openapi.json` hands `httpx_args` to httpx."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way

from blnk_auth import HttpxAuth

pytest.importorskip("openapi_python_client")

DOCUMENT = Path(__file__).with_name("ledgers.openapi.json")
PACKAGE = "generated_ledgers"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The generated package, imported."""
    directory = tmp_path_factory.mktemp("generated")
    config = directory / "config.json"
    # Formatting what nobody reads takes longer than generating it.
    config.write_text(json.dumps({"post_hooks": []}))
    output = directory / PACKAGE
    options = ["--meta", "none", "--config", str(config), "--output-path", str(output), "--fail-on-warning"]
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(DOCUMENT), *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    spec = importlib.util.spec_from_file_location(PACKAGE, output / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    return package


def call(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.api.default.{name}")


@either_way
def test_the_generated_client_creates_and_lists(world: ClientWorld, ending: Ending, generated: ModuleType) -> None:
    """A ledger is created with one token and another with the next, each once, and both are listed."""
    new_ledger = importlib.import_module(f"{PACKAGE}.models").NewLedger
    settings = {"httpx_args": {"auth": HttpxAuth(world.signed_in())}, "raise_on_unexpected_status": True}
    with generated.Client(base_url=world.sandbox.origin, **settings) as client:
        call("create_ledger").sync(client=client, body=new_ledger(name="first"))
        world.end(ending)
        call("create_ledger").sync(client=client, body=new_ledger(name="second"))
        listed = call("list_ledgers").sync(client=client)
    assert [ledger.name for ledger in listed][-2:] == ["first", "second"]
    assert world.story == RENEWED[ending]


@either_way
def test_the_generated_client_works_on_an_event_loop(world: ClientWorld, ending: Ending, generated: ModuleType) -> None:
    """The same settings serve the asynchronous functions."""
    settings = {"httpx_args": {"auth": HttpxAuth(world.signed_in())}, "raise_on_unexpected_status": True}

    async def main() -> None:
        async with generated.Client(base_url=world.sandbox.origin, **settings) as client:
            first = await call("list_ledgers").asyncio(client=client)
            world.end(ending)
            assert await call("list_ledgers").asyncio(client=client) == first != []

    asyncio.run(main())
    assert world.story == RENEWED[ending]
