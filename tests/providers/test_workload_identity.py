"""Tokens of a platform: a file that Kubernetes replaces, and the endpoint of GitHub Actions on a loopback server."""

from __future__ import annotations

import base64
import json
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.acme_server import Acme
from support.canary.leaks import leaks
from support.errors import raises
from support.sites import Received, Reply, Site

from blnk_auth import BlnkAuthError, ConfigurationError, OAuthClient, ProtocolError, TemporarilyUnavailable
from blnk_auth.workload_identity import GitHubActionsToken, KubernetesToken

AUDIENCE = "https://as.acme.test"
REQUEST_TOKEN = "s3cret-request-token"


def jwt_of(**claims: Any) -> str:
    """A JWT, as far as a client reads one."""
    parts = ({"alg": "RS256"}, {"aud": [AUDIENCE], "exp": time.time() + 600, **claims}, "s3cret")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


# --- Kubernetes -------------------------------------------------------------------------------------------------------


def test_the_file_is_read_at_each_call_as_kubernetes_replaces_it(tmp_path: Path) -> None:
    """The kubelet renames a directory: the path stays, and the file behind it is another one."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(jwt_of(jti=name) + "\n")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "token").symlink_to("..data/token")
    token = KubernetesToken(str(tmp_path / "token"), audience=AUDIENCE)
    first = token()
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert token() != first
    assert not token().endswith("\n")


def test_it_authenticates_a_client(tmp_path: Path) -> None:
    """RFC 7523 section 2.2, also in a process that has the client from a pickle."""
    file = tmp_path / "token"
    file.write_text(jwt_of())
    with Acme() as acme:
        client = OAuthClient(acme.provider(), client_id="id", client_assertion=KubernetesToken(file))
        pickle.loads(pickle.dumps(client)).for_itself().token()
        assert acme.token_requests[0].form["client_assertion"] == file.read_text()


def test_two_with_equal_arguments_are_the_same(tmp_path: Path) -> None:
    """So that the grant that presents one is the same wherever it is made."""
    assert KubernetesToken(tmp_path / "token") == KubernetesToken(str(tmp_path / "token"))
    assert GitHubActionsToken("a") == GitHubActionsToken("a") != GitHubActionsToken("b")


@pytest.mark.parametrize(
    ("parameter", "content"),
    [
        ("path", None),
        ("path", b"\xff\xfe"),
        ("path", jwt_of(exp=1_000_000_000).encode()),
        ("audience", jwt_of(aud="https://kubernetes.default.svc").encode()),
        ("audience", jwt_of(aud=None).encode()),
        ("path", b"opaque"),
        ("path", b"\n"),
    ],
    ids=["missing", "not a text", "expired", "for the cluster", "without an audience", "no JWT", "empty"],
)
def test_what_cannot_be_presented_is_named(tmp_path: Path, parameter: str, content: bytes | None) -> None:
    """Such as the token for the cluster's own API, and one that a subPath mount keeps from being replaced."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with raises(ConfigurationError, parameter=parameter) as caught:
        KubernetesToken(str(file), audience=AUDIENCE)()
    assert caught.value.remedy
    assert leaks([str(caught.value)], ["s3cret"]) == []


def test_an_expiry_that_is_not_a_number_is_unknown(tmp_path: Path) -> None:
    """Then the server decides. True counts as 1 in Python, and would be the first second of 1970."""
    file = tmp_path / "token"
    file.write_text(jwt_of(exp=True))
    assert KubernetesToken(file, audience=AUDIENCE)() == file.read_text()


@pytest.mark.parametrize(
    ("parameter", "make"),
    [
        ("path", lambda: KubernetesToken("")),
        ("path", lambda: KubernetesToken(7)),  # type: ignore[arg-type]
        ("audience", lambda: KubernetesToken("token", audience=" ")),
        ("audience", lambda: GitHubActionsToken("")),
        ("audience", lambda: GitHubActionsToken(7)),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument_is_named_immediately(parameter: str, make: Any) -> None:
    """Not at the first token request."""
    with raises(ConfigurationError, parameter=parameter):
        make()


# --- GitHub Actions ---------------------------------------------------------------------------------------------------


class Runner:
    """GitHub's endpoint for the tokens of a job."""

    def __init__(self) -> None:
        self.reply = Reply(200, json.dumps({"count": 1, "value": "eyJ.job.sig"}).encode())
        self.site = Site(self.answer)

    def answer(self, _request: Received) -> Reply:
        return self.reply


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    runner = Runner()
    with runner.site:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{runner.site.origin}/idtoken/1?api-version=2.0")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
        yield runner


@pytest.mark.parametrize(
    ("audience", "sent"),
    [(None, ""), ("https://a.test/?x=1&y", "&audience=https%3A%2F%2Fa.test%2F%3Fx%3D1%26y")],
    ids=["default", "quoted"],
)
def test_the_job_is_asked_for_a_token_for_the_audience(runner: Runner, audience: str | None, sent: str) -> None:
    """The runner's URL has a query already, and its token is sent in a header."""
    assert GitHubActionsToken(audience)() == "eyJ.job.sig"
    (request,) = runner.site.received
    assert (request.method, request.path, request.query) == ("GET", "/idtoken/1", f"api-version=2.0{sent}")
    assert request.authorization == f"Bearer {REQUEST_TOKEN}"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, b"{}", ConfigurationError),
        (302, b"", ConfigurationError),
        (503, b"", TemporarilyUnavailable),
        (429, b"{}", TemporarilyUnavailable),
        (200, b"<html>", ProtocolError),
        (200, b'{"value": 7}', ProtocolError),
        (200, b'{"value": ""}', ProtocolError),
        (200, b"[" * 70_000, ProtocolError),
    ],
)
def test_every_other_answer_is_a_typed_error(
    runner: Runner, status: int, body: bytes, expected: type[BlnkAuthError]
) -> None:
    """No redirect is followed, since it would carry the token of the job along."""
    runner.reply = Reply(status, body, {"Location": f"{runner.site.origin}/elsewhere"} if status == 302 else {})
    with raises(expected) as caught:
        GitHubActionsToken("a")()
    assert leaks([str(caught.value)], [REQUEST_TOKEN]) == []
    assert len(runner.site.received) == 1


def test_outside_of_a_job_the_permission_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job without it has neither of the two variables."""
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    with raises(ConfigurationError, parameter="ACTIONS_ID_TOKEN_REQUEST_URL"):
        GitHubActionsToken()()
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://evil.test/token")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
    with raises(ConfigurationError, parameter="ACTIONS_ID_TOKEN_REQUEST_URL"):
        GitHubActionsToken()()
