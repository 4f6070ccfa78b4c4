"""python-gitlab takes a `requests.Session`, and without a token of its own leaves the header to that session's auth."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.sites import Received

from blnk_auth import RequestsAuth

gitlab = pytest.importorskip("gitlab")


def answer(request: Received) -> dict[str, Any]:
    assert request.path == "/api/v4/projects/7"
    return {"id": 7, "name": "ledger" if request.method == "GET" else "renamed"}


@either_way
def test_a_project_is_read_and_changed(world: ClientWorld, ending: Ending) -> None:
    """A project is read with one token and saved with the next."""
    with world.api(answer) as site, requests.Session() as session:
        session.auth = RequestsAuth(world.alice_for(site.origin))
        project = gitlab.Gitlab(site.origin, session=session).projects.get(7)
        world.end(ending)
        project.name = "renamed"
        project.save()
    assert project.name == "renamed"
    assert world.story == RENEWED[ending]
