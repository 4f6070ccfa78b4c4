"""What importing costs, over a bare interpreter: instructions, milliseconds, and which heavy modules come along.

Milliseconds are the CPU time of a fresh interpreter, medians of interleaved runs. They differ from run to run by more
than a shell adds, so its share is taken from instructions, where they can be counted.

Run: python benchmarks/imports.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from typing import Any

import instructions

BARE = "pass"
STATEMENTS = {
    "import blnk_auth": "import blnk_auth",
    "httpx": "import httpx",
    "httpx + HttpxAuth": "import httpx; from blnk_auth import HttpxAuth",
    "httpx + HttpxAuth and OAuthClient": "import httpx; from blnk_auth import HttpxAuth, OAuthClient",
    "httpx2": "import httpx2",
    "httpx2 + Httpx2Auth": "import httpx2; from blnk_auth import Httpx2Auth",
    "requests": "import requests",
    "requests + RequestsAuth": "import requests; from blnk_auth import RequestsAuth",
}
PEERS = {
    "authlib (requests)": "from authlib.integrations.requests_client import OAuth2Session",
    "authlib (httpx2)": "from authlib.integrations.httpx_client import OAuth2Client",
    "requests-oauthlib": "import requests_oauthlib",
    "requests-oauth2client": "import requests_oauth2client",
    "requests-auth": "import requests_auth",
    "httpx-auth": "import httpx_auth",
    "google-auth": "import google.oauth2.credentials, google.auth.transport.requests",
    "msal": "import msal, msal_extensions",
    "azure-core": "from azure.core.pipeline.policies import BearerTokenCredentialPolicy",
    "MCP SDK": "import mcp.client.auth",
    "botocore": "import botocore.session, botocore.tokens",
}
SHELLS = {
    "httpx": "httpx + HttpxAuth",
    "httpx2": "httpx2 + Httpx2Auth",
    "requests": "requests + RequestsAuth",
}
HEAVY = ("ssl", "json", "email", "sqlite3", "asyncio", "authlib", "dataclasses", "inspect", "http", "ipaddress")


def cpu_seconds(statement: str) -> float:
    """CPU time of an interpreter that runs the statement and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def environment() -> dict[str, str]:
    """One in which modules are compiled once and kept, as in an installation."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def modules_after(statement: str) -> list[str]:
    """The heavy modules that are loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def net_instructions() -> dict[str, float]:
    """Instructions of each statement over those of a bare interpreter."""
    bare = instructions.of_statement(BARE, environment())
    return {name: instructions.of_statement(code, environment()) - bare for name, code in STATEMENTS.items()}


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section."""
    statements = {"bare": BARE, **STATEMENTS, **({} if quick else PEERS)}
    took: dict[str, list[float]] = {name: [] for name in statements}
    for statement in statements.values():
        cpu_seconds(statement)
    for _ in range(7 if quick else 15):
        for name, statement in statements.items():
            took[name].append(cpu_seconds(statement))
    bare = statistics.median(took["bare"])
    net = {name: (statistics.median(times) - bare) * 1e3 for name, times in took.items()}
    counted = net_instructions() if instructions.is_available() else {}
    cost = counted or net
    return {
        "bare_ms": bare * 1e3,
        "net_ms": net,
        "net_instructions": counted,
        "shell_over_client": {client: (cost[shell] - cost[client]) / cost[client] for client, shell in SHELLS.items()},
        "modules": {name: modules_after(statement) for name, statement in STATEMENTS.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs, no peers")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
