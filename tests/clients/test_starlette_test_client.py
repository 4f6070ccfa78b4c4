"""Starlette's TestClient is a client of httpx2 (of httpx where that is missing), so its `auth` can be set."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from support.api_clients import RENEWED, ClientWorld, Ending, either_way

from blnk_auth import Httpx2Auth, HttpxAuth

testclient = pytest.importorskip("starlette.testclient")

ORIGIN = "https://api.acme.test"


@either_way
def test_an_app_under_test_gets_a_valid_token(world: ClientWorld, ending: Ending) -> None:
    """The app sees a good token in each request, although it has no address and the authorization server has."""

    def ledgers(request: Request) -> JSONResponse:
        if world.accepts(request.headers.get("authorization")):
            return JSONResponse(["first"])
        return JSONResponse({}, 401, {"www-authenticate": 'Bearer error="invalid_token"'})

    app = Starlette(routes=[Route("/ledgers", ledgers, methods=["POST"])])
    auth = {"httpx2": Httpx2Auth, "httpx": HttpxAuth}[testclient.httpx.__name__]
    with testclient.TestClient(app, base_url=ORIGIN) as http:
        http.auth = auth(world.alice_for(ORIGIN))
        assert http.post("/ledgers", json={"name": "first"}).json() == ["first"]
        world.end(ending)
        assert http.post("/ledgers", json={"name": "first"}).json() == ["first"]
    assert world.story == RENEWED[ending]
