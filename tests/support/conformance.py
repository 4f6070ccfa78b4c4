"""The public conformance suites of the Model Context Protocol, as tests run them.

Used by tests/conformance. They are two versions of npm's `@modelcontextprotocol/conformance`, each named here after its
revision of the protocol. A run is one scenario: the suite starts its servers, runs our client once, and judges what
arrived.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.limits import PATIENCE
from support.npm import installed

HERE = Path(__file__).parents[1] / "conformance"
CLIENT = HERE / "client.py"

PACKAGES = ("httpx", "httpx2", "requests", "aiohttp")

_BOTH = (
    *("metadata-default", "metadata-var1", "metadata-var2", "metadata-var3", "basic-cimd"),
    *("scope-from-www-authenticate", "scope-from-scopes-supported", "scope-omitted-when-undefined"),
    *("scope-step-up", "scope-retry-limit"),
    *("token-endpoint-auth-basic", "token-endpoint-auth-post", "token-endpoint-auth-none", "pre-registration"),
    *("2025-03-26-oauth-metadata-backcompat", "2025-03-26-oauth-endpoint-fallback"),
    *("resource-mismatch", "offline-access-scope", "offline-access-not-supported"),
    *("client-credentials-jwt", "client-credentials-basic"),
)

SCENARIOS = {
    "2025-11-25": (*_BOTH, "cross-app-access-complete-flow"),
    "2026-07-28": (
        *_BOTH,
        *("authorization-server-migration", "iss-supported", "iss-not-advertised", "iss-supported-missing"),
        *("iss-wrong-issuer", "iss-unexpected", "iss-normalized", "metadata-issuer-mismatch"),
        *("enterprise-managed-authorization", "dpop", "dpop-nonce", "wif-jwt-bearer"),
    ),
}
"""Every scenario about signing in, `auth/...`, of each revision. The suite marks no such scenario as pending."""

_OLDEST = "2025-03-26"
"""A scenario whose name begins with this revision is about a server of that time, which has no newer messages."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of the suite on one run.

    `passed`: it saw no failure, no warning and no time-out, and the client ended as the scenario allows. `checks`: each
    thing that it looked at. `said`: what the client printed. `report`: everything else, for a reader.
    """

    passed: bool
    checks: list[dict[str, Any]] = field(repr=False)
    said: str
    report: str = field(repr=False)

    def count(self, check: str) -> int:
        """How often the suite saw this happen."""
        return sum(each["id"] == check and each["status"] != "FAILURE" for each in self.checks)

    def saw(self, check: str) -> bool:
        """Whether the suite saw this happen. What it missed is among its checks too, as a failure."""
        return self.count(check) > 0


def run_scenario(
    revision: str,
    scenario: str,
    command: list[str],
    results: Path,
    *,
    timeout: float = PATIENCE,
    **environment: str,
) -> Verdict:
    """Run one scenario against a client, whose command gets the URL as its last argument.

    `timeout`: seconds after which the suite ends the client. `environment`: variables of the client.
    """
    wire = () if scenario.startswith(_OLDEST) else ("--spec-version", revision, "--force")
    ran = _conformance(
        revision,
        *("client", "--scenario", f"auth/{scenario}", *(wire if revision > "2026" else ())),
        # It splits the command at spaces, and a shell joins it again.
        *("--command", shlex.join(command), "--timeout", str(int(timeout * 1000)), "--output-dir", str(results)),
        timeout=timeout + PATIENCE,
        **environment,
    )
    [checks] = results.rglob("checks.json")
    said, wrong = ((checks.parent / name).read_text("utf-8") for name in ("stdout.txt", "stderr.txt"))
    report = f"{ran.stdout}\n{ran.stderr}\n{wrong}"
    return Verdict(ran.returncode == 0, json.loads(checks.read_text("utf-8")), said.strip(), report)


def listed_by(revision: str) -> set[str]:
    """The scenarios about signing in that this suite itself lists."""
    lines = _conformance(revision, "list", "--client").stdout.splitlines()
    return {line.split()[1].removeprefix("auth/") for line in lines if line.strip().startswith("- auth/")}


def _conformance(
    revision: str, *arguments: str, timeout: float = PATIENCE, **environment: str
) -> subprocess.CompletedProcess[str]:
    node, packages = installed(HERE)
    return subprocess.run(
        [*node, str(packages / "node_modules" / f"suite-{revision}" / "dist" / "index.js"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=timeout,
        check=False,
    )
