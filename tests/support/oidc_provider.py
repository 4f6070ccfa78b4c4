"""npm's `oidc-provider` as a test sees it: started once, its clock moved and its counters read over HTTP.

`support.npm` installs it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from support.npm import installed
from support.processes import Child

HERE = Path(__file__).parents[1] / "real_server"


@dataclass(frozen=True)
class Counts:
    """What the server has seen since the last reset.

    `refusals`: code and reason of each token request refused, but for those that only asked for a nonce.
    `nonce_demands`: how often it asked for one, at all its endpoints. `pushed`: requests pushed to it (RFC 9126).
    """

    token_requests: int
    refreshes: int
    reuses: int
    refusals: list[list[str | None]]
    revocations: int
    grants_revoked: int
    pushed: int
    nonce_demands: int


class RealServer:
    """A running `oidc-provider`. `settings` are those that `server.mjs` describes."""

    def __init__(self, **settings: Any) -> None:
        node, packages = installed(HERE)
        self._child = Child(*node, str(HERE / "server.mjs"), json.dumps(settings), cwd=packages)
        where = self._child.says()
        self.issuer: str = where["issuer"]
        self.secure_origin: str = where["secure_origin"]
        self._http = httpx.Client(base_url=self.issuer, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.close()
        self._child.__exit__(*exc_info)

    @property
    def counts(self) -> Counts:
        return self._control("counts")

    def reset_counts(self) -> None:
        self._control("reset")

    def set_clock(self, now: float) -> None:
        self._control("clock", now=now)

    def _control(self, name: str, **query: float) -> Counts:
        return Counts(**self._http.get(f"/_test/{name}", params=query).raise_for_status().json())

    def post(self, path: str, auth: tuple[str, str], **form: str) -> httpx.Response:
        """A request by hand, of a confidential client that sends its secret in a Basic header."""
        return self._http.post(path, data=form, auth=auth)


def sign_in(authorization_url: str, subject: str) -> str:
    """Play the user in the server's own pages: sign in, consent. Returns the callback URL, without following it."""
    origin = httpx.URL(authorization_url).copy_with(raw_path=b"/")
    with httpx.Client(trust_env=False) as browser:
        answer = browser.get(authorization_url)
        for _ in range(12):
            if not answer.is_redirect:
                assert answer.is_success, answer.text
                prompt = "login" if 'value="login"' in answer.text else "consent"
                answer = browser.post(answer.url, data={"prompt": prompt, "login": subject, "password": "any"})
            onward = answer.url.join(answer.headers["location"])
            if onward.copy_with(raw_path=b"/") != origin:
                return str(onward)
            answer = browser.get(onward)
    raise AssertionError(f"the sign-in got no further than {answer.url}")
