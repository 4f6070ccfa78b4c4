"""`make sbom` and `make audit`, in their own environment: a valid bill of materials, and what the look-up notices.

The list of vulnerabilities is one that these tests serve; whether a package has one in the real list is no matter of
CI. `make test-deep` makes the environment and runs them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from supply_chain import locks
from support.limits import PATIENCE
from support.prose import ROOT

PYTHON = ROOT / ".venv/audit/bin/python"
RUNTIME = locks.read((locks.REQUIREMENTS / "runtime.txt").read_text("utf-8"))

pytestmark = pytest.mark.deep


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program of tools/, in the environment of requirements/audit.txt."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT / "tools"), "NO_PROXY": "127.0.0.1", **environment}
    return subprocess.run(
        [str(PYTHON), *arguments], env=settings, capture_output=True, text=True, check=False, timeout=2 * PATIENCE
    )


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A directory with two files in the place of a wheel and an sdist."""
    (tmp_path / "blnk_auth-1.2.3-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "blnk_auth-1.2.3.tar.gz").write_bytes(b"sdist")
    return tmp_path


def test_the_bill_of_materials_is_valid_and_complete(dist: Path) -> None:
    """By the strict schema of CycloneDX, which the program asks before it writes; and the same each time."""
    texts = []
    for _ in range(2):
        done = run("-m", "supply_chain.sbom", str(dist), SOURCE_DATE_EPOCH="1700000000")
        assert done.returncode == 0, done.stderr
        texts.append((dist / "blnk_auth-1.2.3.cdx.json").read_text("utf-8"))
    assert texts[0] == texts[1]
    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    ourselves = bill["metadata"]["component"]
    assert (ourselves["purl"], ourselves["licenses"]) == ("pkg:pypi/blnk-auth@1.2.3", [{"license": {"id": "MIT"}}])
    assert {each["url"] for each in ourselves["externalReferences"]} == {path.name for path in dist.glob("*[lz]")}
    components = {each["name"]: each for each in bill["components"]}
    assert {name: each["version"] for name, each in components.items()} == {each.name: each.version for each in RUNTIME}
    assert [each["name"] for each in components.values() if not each["hashes"] or not each["licenses"]] == []
    required = {name for name, each in components.items() if each["scope"] == "required"}
    assert {"httpx", "requests", "authlib", "h11", "certifi"} <= required
    assert required & {"sqlalchemy", "redis", "click", "starlette", "aiohttp"} == set()
    wanted = {each["ref"]: {*each.get("dependsOn", ())} for each in bill["dependencies"]}
    assert f"httpcore=={components['httpcore']['version']}" in wanted[f"httpx=={components['httpx']['version']}"]
    assert f"httpx=={components['httpx']['version']}" in wanted["blnk-auth==1.2.3"]


def test_a_document_that_is_not_valid_is_not_written(dist: Path) -> None:
    """The schema is really asked: a version that is not a text, for example."""
    program = (
        "import sys; from pathlib import Path; from supply_chain import locks, sbom\n"
        "made = sbom.make_outputter\n"
        "class Odd:\n"
        "    def __init__(self, *given): self.made = made(*given)\n"
        "    def output_as_string(self, **how): return self.made.output_as_string(**how).replace('\"1.2.3\"', '123')\n"
        "sbom.make_outputter = Odd\n"
        "sys.exit(sbom.main([sys.argv[1]]))"
    )
    done = run("-c", program, str(dist))
    assert done.returncode == 1
    assert "the document is not valid CycloneDX" in done.stderr
    assert list(dist.glob("*.json")) == []


def test_a_directory_without_a_build_has_no_bill(tmp_path: Path) -> None:
    """It names what to do."""
    done = run("-m", "supply_chain.sbom", str(tmp_path))
    assert (done.returncode, "make test" in done.stderr) == (1, True)


@contextmanager
def a_list(vulnerable: set[str]) -> Iterator[tuple[str, set[str]]]:
    """A service like OSV in which some packages have a vulnerability: its URL, and the names that it was asked for."""
    asked: set[str] = set()

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked.add(name)
            package = {"name": name, "ecosystem": "PyPI"}
            found: dict[str, Any] = {"id": f"TEST-{name}", "affected": [{"package": package}]}
            answer = json.dumps({"vulns": [found]} if name in vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Not on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_vulnerability_in_any_lock_fails_the_audit() -> None:
    """Also of a package that only Windows installs; every package of every lock but the lowest is asked for."""
    with a_list({"pywin32"}) as (url, asked):
        done = run("-m", "supply_chain.audit", "--vulnerability-service", "osv", "--osv-url", url)
    assert done.returncode == 1
    assert "TEST-pywin32" in done.stdout
    looked_up = [path for path in locks.locks() if path.name != "lowest.txt"]
    assert asked == locks.names(looked_up)


def look_up(url: str, *, accepted: bool = False) -> subprocess.CompletedProcess[str]:
    """The audit of one package, by the list at `url`."""
    program = (
        "import sys; from supply_chain import audit, locks\n"
        f"audit.ACCEPTED.update({ {'TEST-one': 'a reason'} if accepted else {} })\n"
        "one = locks.Locked('one', '1', None, ['0' * 64])\n"
        "sys.exit(audit.look_up({'one': one}, ['--vulnerability-service', 'osv', '--osv-url', sys.argv[1]]))"
    )
    return run("-c", program, url)


def test_an_audit_passes_without_a_finding_and_with_an_accepted_one() -> None:
    """A vulnerability that is listed with its reason is left out; without that it fails."""
    with a_list({"one"}) as (url, _):
        assert [look_up(url).returncode, look_up(url, accepted=True).returncode] == [1, 0]
    with a_list(set()) as (url, _):
        assert look_up(url).returncode == 0


def test_an_audit_whose_service_does_not_answer_fails() -> None:
    """An unknown state is not a good one."""
    with a_list(set()) as (url, _):
        pass
    assert look_up(url).returncode != 0
