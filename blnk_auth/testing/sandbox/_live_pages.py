"""The pages about the sandbox itself: what a client needs, and what happens now.

Used by `Sandbox`, which serves them under `/_sandbox/`. It promises a content security policy with each page, and that
all text is escaped. It shows the client's secret, which protects nothing, and never a whole token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ._answer import Answer
from ._client_settings import ClientSettings, endpoints_of
from ._endpoint import EndpointSpec, send_answer
from ._env_file import lines_of
from ._journal import RecordedRequest
from ._live_templates import TEMPLATES
from ._named_faults import FAULTS

_TEMPLATES = Environment(loader=DictLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)

_KINDS = {
    "token": "token endpoint",
    "api": "API",
    "revocation": "revocation",
    "par": "PAR endpoint",
    "registration": "registration",
    "metadata": "metadata",
}

_CALLS = {
    "blnk_cloud": (
        ("List ledgers", "/data/ledgers?instance_id=inst_sandbox", ""),
        ("List transactions", "/data/transactions?instance_id=inst_sandbox&pageSize=20", ""),
        (
            "Create a ledger",
            "/proxy/ledgers?instance_id=inst_sandbox",
            """ -H 'Content-Type: application/json' -d '{"name": "Savings"}'""",
        ),
    ),
    "blink": (("List accounts", "/ais/v6/accounts", ""),),
    "flinks": (("List accounts", "/api/fdx/5/accounts", ""),),
    "mcp": (
        ("List ledgers", "/mcp/ledgers", ""),
        (
            "Call a tool",
            "/mcp",
            """ -H 'Content-Type: application/json' -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", \
  "params": {"name": "list_ledgers"}}'""",
        ),
    ),
}
"""Title, path and further arguments of curl, by personality."""

_CERTIFICATES = "The files ca.pem and client.pem are those that blnk-auth sandbox --tls named when it started."

_BLINK_HEADERS = """ \\
  -H "X-Correlation-ID: $(date +%s)-$RANDOM" -H 'X-CorAPI-Target-ID: IIDX99999' -A 'Acme/1.0' \\
  -H 'X-PSU-IP-Address: AUTO' -H 'X-PSU-User-Agent: AUTO'"""


@dataclass(frozen=True, slots=True)
class _Block:
    """Something to copy."""

    title: str
    text: str
    note: str = ""


class Front:
    """The root: a browser is sent to the landing page, and everyone else gets what the provider answers there.

    `provider` is the provider's own endpoint.
    """

    def __init__(self, provider: ASGIApp) -> None:
        self._provider = provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        is_browser = "text/html" in headers.get("accept", "") and "authorization" not in headers
        if scope["method"] != "GET" or not is_browser:
            await self._provider(scope, receive, send)
            return
        redirect = Answer(302, b"", {"location": "/_sandbox/", "cache-control": "no-store"})
        await send_answer(redirect, scope, receive, send)


class LivePages:
    """The landing page and the live page of one sandbox. `origin` and `settings` are known once a port is bound."""

    def __init__(
        self, personality: str, display_name: str, *, origin: Callable[[], str], settings: Callable[[], ClientSettings]
    ) -> None:
        self._personality = personality
        self._display_name = display_name
        self._origin = origin
        self._settings = settings

    def endpoints(self) -> list[EndpointSpec]:
        """The endpoints of the pages."""
        return [
            EndpointSpec("/_sandbox/", "control", self._start),
            EndpointSpec("/_sandbox/live", "control", self._live),
        ]

    def _start(self, _request: RecordedRequest) -> Answer:
        settings = self._settings()
        facts = [*endpoints_of(settings, self._origin()).items(), *settings.of_client.items()]
        return self._page("start", facts=facts, blocks=self._blocks(settings))

    def _live(self, _request: RecordedRequest) -> Answer:
        kinds: dict[str, list[str]] = {}
        for name, fault in FAULTS[self._personality].items():
            kinds.setdefault(_KINDS[fault.at], []).append(name)
        return self._page("live", faults=list(kinds.items()))

    def _blocks(self, settings: ClientSettings) -> list[_Block]:
        origin = self._origin()
        curl = "curl -s" if origin.startswith("http:") else "curl -s --cacert ca.pem"
        tls = "" if origin.startswith("http:") else _CERTIFICATES
        token = f"TOKEN=$({curl} -X POST '{origin}/_sandbox/token?subject=alice')"
        headers = _BLINK_HEADERS if self._personality == "blink" else ""
        calls = [
            _Block(
                f"{title} with curl",
                f"{token}\n{curl} '{origin}{path}' -H \"Authorization: Bearer $TOKEN\"{headers}{arguments}",
                tls,
            )
            for title, path, arguments in _CALLS[self._personality]
        ]
        variables = "\n".join(lines_of(settings.variables()))
        env = [_Block(".env", variables, "blnk-auth reads these variables; blnk-auth sandbox --env-file writes them.")]
        return [
            _Block("Python", settings.python_program(origin + _CALLS[self._personality][0][1]), tls),
            *(env if variables else ()),
            _Block("Terminal", settings.terminal(), "With that .env file." if variables else ""),
            *calls,
        ]

    def _page(self, page: str, **values: object) -> Answer:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        headers = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": policy,
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }
        template = _TEMPLATES.get_template(f"{page}.html")
        text = template.render(nonce=nonce, page=page, provider=self._display_name, **values)
        return Answer(200, text.encode(), headers)
