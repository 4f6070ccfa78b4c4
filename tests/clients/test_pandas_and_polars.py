"""pandas and polars read what a client with `auth=` has fetched; pandas can also send the headers itself."""

from __future__ import annotations

import contextlib
import gzip
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.how_to import run_program
from support.sites import Received, Reply, Site

from blnk_auth import AiohttpAuth, Auth, StaticToken

fsspec = pytest.importorskip("fsspec")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

PAGE = "pandas-and-polars"
RATES = b"currency,rate\nEUR,1.08\nUSD,1.0\n"


@pytest.fixture
def site(world: ClientWorld) -> Iterator[Site]:
    """An API with one CSV file, for everyone with a valid token of the sandbox."""

    def answer(request: Received) -> Reply:
        return Reply(200, RATES) if world.accepts(request.authorization) else Reply.rejected()

    with Site(answer) as site:
        yield site


def names(world: ClientWorld, site: Site) -> dict[str, Any]:
    """What the programs of the page share."""
    return {"alice": world.alice_for(site.origin), "url": f"{site.origin}/rates.csv"}


@either_way
@pytest.mark.parametrize("mark", ["io.BytesIO", "chunksize", "fsspec.open", "polars.read_csv", "polars.scan_csv"])
def test_what_a_client_fetches_is_read(
    world: ClientWorld, site: Site, ending: Ending, mark: str, tmp_path: Path
) -> None:
    """The file is read before and after the token's end, with one renewal and no error."""
    shared = names(world, site)
    with contextlib.chdir(tmp_path):
        for _ in range(2):
            run_program(PAGE, mark, **shared)
            if not world.story.refreshes:
                world.end(ending)
    assert world.story == RENEWED[ending]


def test_pandas_sends_the_headers_it_is_given(world: ClientWorld, site: Site) -> None:
    """An expired token is renewed before they are made. A rejection is the caller's: no renewal, and the 401."""
    shared = names(world, site)
    for _ in range(2):
        run_program(PAGE, "storage_options=alice", **shared)
        world.expire()
    run_program(PAGE, "storage_options=alice", **shared)
    renewals = world.renewals
    world.end("rejected")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        run_program(PAGE, "storage_options=alice", **shared)
    assert renewals == world.renewals == (2, 2, 0)


def test_pandas_sends_the_headers_wherever_the_api_redirects(world: ClientWorld, site: Site) -> None:
    """This is why the page warns of it; what httpx fetches has no token there."""
    with Site(lambda _: Reply(200, RATES)) as other:
        redirecting = Site(lambda _: Reply.redirect(f"{other.origin}/rates.csv"))
        with redirecting as api:
            alice, url = world.alice_for(api.origin), f"{api.origin}/rates.csv"
            assert len(pandas.read_csv(url, storage_options=alice.headers(url))) == 2
            assert httpx.get(url, auth=Auth(alice), follow_redirects=True).content == RATES
    assert [authorization is None for authorization in other.authorizations] == [False, True]


def test_fsspec_may_send_the_key_of_another_user() -> None:
    """This is why the program of the page switches its cache off: by default two users share the first one's key."""
    sent: dict[bool, set[str | None]] = {}
    for skips in (False, True):
        with Site(lambda _: Reply(200, RATES)) as site:
            for name in ("alice", "bob"):
                auth = AiohttpAuth(StaticToken(name, api_origins=(site.origin,)))
                session = {"middlewares": (auth,)}
                with fsspec.open(site.origin, skip_instance_cache=skips, client_kwargs=session) as file:
                    file.read()
        sent[skips] = set(site.authorizations)
    assert sent == {False: {"Bearer alice"}, True: {"Bearer alice", "Bearer bob"}}


def test_polars_sends_no_headers(world: ClientWorld, site: Site) -> None:
    """It ignores them, and the API rejects the request."""
    alice = world.alice_for(site.origin)
    url = f"{site.origin}/rates.csv"
    with pytest.raises(OSError, match="HTTP error|401"):
        polars.read_csv(url, storage_options={**alice.headers(url), "max_retries": 0})
    assert set(site.authorizations) == {None}


def test_a_response_in_parts_may_be_packed(world: ClientWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """The program that reads in parts unpacks what the API has packed with gzip."""
    with Site(lambda _: Reply(200, gzip.compress(RATES), {"Content-Encoding": "gzip"})) as site:
        run_program(PAGE, "chunksize", **names(world, site))
    assert capsys.readouterr().out == "2.08\n"
