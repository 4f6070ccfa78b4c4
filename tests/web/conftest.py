"""The examples of the how-to pages in their real frameworks, each with a browser for every user.

An example is taken from its page unchanged. What the page leaves to the reader, a log-in, is added here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from blnk_auth.testing import Sandbox

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
HOST = "https://your-app.com"


def example(name: str, sandbox: Sandbox, directory: Path) -> types.ModuleType:
    """The one python block of a page, run as a module in `directory` with the sandbox's client in its environment."""
    page = HOW_TO / f"{name}.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    module = types.ModuleType(f"example_of_{name}")
    # FastAPI looks the annotations of a function up in its module.
    sys.modules[module.__name__] = module
    before = dict(os.environ)
    os.environ.update(
        BLNK_URL=sandbox.origin, BLNK_CLIENT_ID=sandbox.client_id, BLNK_CLIENT_SECRET=sandbox.client_secret
    )
    try:
        with contextlib.chdir(directory):
            exec(compile(block, str(page), "exec"), module.__dict__)
    except BaseException:
        _restore(before)
        raise
    return module


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


class User:
    """A browser with its own cookies, in which somebody is logged in to the application."""

    def __init__(self, send: Callable[[httpx.Request], httpx.Response]) -> None:
        self._send = send
        self.cookies = httpx.Cookies()

    def get(self, url: str) -> httpx.Response:
        return self._exchange(httpx.Request("GET", _absolute(url)))

    def post(self, url: str, *, with_token: bool = True) -> httpx.Response:
        """Click the button that posts to `url`, with the form's own fields."""
        page = self.get("/").text if with_token else ""
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page))
        headers = {"Referer": f"{HOST}/"}
        return self._exchange(httpx.Request("POST", _absolute(url), data=fields, headers=headers))

    def session(self) -> dict[str, str]:
        """The browser's cookies as they are now."""
        return {cookie.name: cookie.value or "" for cookie in self.cookies.jar}

    def go_back_to(self, session: dict[str, str]) -> None:
        """Have these cookies again, as though the answers since then had never arrived."""
        for cookie in self.cookies.jar:
            if cookie.name in session:
                cookie.value = session[cookie.name]

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        self.cookies.set_cookie_header(request)
        response = self._send(request)
        response.request = request
        self.cookies.extract_cookies(response)
        return response


def _absolute(url: str) -> str:
    return url if url.startswith("https://") else f"{HOST}{url}"


class Application:
    """An example that runs. `log_in` gives a user's browser; `anonymous` one in which nobody is logged in."""

    def __init__(self, send: Callable[[httpx.Request], httpx.Response]) -> None:
        self._send = send

    def anonymous(self) -> User:
        return User(self._send)

    def log_in(self, name: str) -> User:
        user = self.anonymous()
        assert user.get(f"/log-in/{name}").status_code == 200
        return user


def fastapi_application(sandbox: Sandbox, directory: Path) -> Application:
    pytest.importorskip("fastapi")
    from starlette.requests import Request

    module = example("fastapi", sandbox, directory)

    async def log_in(request: Request) -> Any:
        from starlette.responses import PlainTextResponse

        request.session["person"] = request.path_params["name"]
        return PlainTextResponse("")

    module.app.add_route("/log-in/{name}", log_in)

    def send(request: httpx.Request) -> httpx.Response:
        async def exchange() -> httpx.Response:
            response = await httpx.ASGITransport(module.app).handle_async_request(request)
            await response.aread()
            return response

        return asyncio.run(exchange())

    return Application(send)


def flask_application(sandbox: Sandbox, directory: Path) -> Application:
    flask = pytest.importorskip("flask")
    module = example("flask", sandbox, directory)

    def log_in(name: str) -> str:
        flask.session["person"] = name
        return ""

    module.app.add_url_rule("/log-in/<name>", view_func=log_in)
    return Application(_wsgi(module.app))


def django_application(sandbox: Sandbox, directory: Path) -> Application:
    pytest.importorskip("django")
    _set_django_up()
    from django.contrib.auth import get_user_model, login
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import clear_url_caches, path

    call_command("migrate", verbosity=0)
    module = example("django", sandbox, directory)

    def log_in(request: Any, name: str) -> HttpResponse:
        login(request, get_user_model().objects.get_or_create(username=name)[0])
        return HttpResponse("")

    urls = types.ModuleType("example_urls")
    vars(urls)["urlpatterns"] = [path("log-in/<name>", log_in), *module.urlpatterns]
    sys.modules["example_urls"] = urls
    clear_url_caches()
    return Application(_wsgi(get_wsgi_application()))


def _set_django_up() -> None:
    """Settings as `django-admin startproject` writes them, and a database in memory."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    contrib = "django.contrib"
    settings.configure(
        SECRET_KEY="made-up",
        ALLOWED_HOSTS=["your-app.com"],
        ROOT_URLCONF="example_urls",
        INSTALLED_APPS=[f"{contrib}.auth", f"{contrib}.contenttypes", f"{contrib}.sessions"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            f"{contrib}.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            f"{contrib}.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SESSION_COOKIE_SECURE=True,
        USE_TZ=True,
    )
    django.setup()


def _wsgi(application: Any) -> Callable[[httpx.Request], httpx.Response]:
    def send(request: httpx.Request) -> httpx.Response:
        response = httpx.WSGITransport(application).handle_request(request)
        response.read()
        return response

    return send


APPLICATIONS = {"fastapi": fastapi_application, "flask": flask_application, "django": django_application}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(redirect_uri=f"{HOST}/oauth/callback") as running:
        yield running


@pytest.fixture(params=APPLICATIONS)
def application(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Iterator[Application]:
    environment, modules = dict(os.environ), set(sys.modules)
    try:
        yield APPLICATIONS[request.param](sandbox, tmp_path)
    finally:
        _restore(environment)
        for name in set(sys.modules) - modules:
            if name.startswith("example_"):
                del sys.modules[name]
