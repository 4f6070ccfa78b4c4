"""The page about notebooks, its cells run by a real kernel, in which an event loop runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs.test_readme import HOW_TO
from support.limits import PATIENCE
from support.waiting import Hold, wait_until

from blnk_auth import BlnkCloud, OAuthClient
from blnk_auth.testing import Fault, Sandbox, assert_no_secret_in

pytest.importorskip("ipykernel")
jupyter_client = pytest.importorskip("jupyter_client")

CELLS = re.findall(
    r"^```(?:python|text)\n([^%].*?)^```$", (HOW_TO / "notebooks.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)
"""All but the one that installs."""


class Notebook:
    """A kernel, and the user who runs cells in it and pastes the address that the browser was sent to."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.shown = ""
        self.asked = 0
        self.kernel = jupyter_client.KernelManager()
        variables = {
            "BLNK_URL": sandbox.origin,
            "BLNK_CLIENT_ID": sandbox.client_id,
            "BLNK_CLIENT_SECRET": sandbox.client_secret,
            "IPYTHONDIR": str(directory / "ipython"),
        }
        self.kernel.start_kernel(env={**os.environ, **variables}, cwd=str(directory))
        self.client = self.kernel.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def close(self) -> None:
        self.client.stop_channels()
        self.kernel.shutdown_kernel(now=True)
        self.kernel.cleanup_resources()

    def run(self, cell: str) -> str:
        """Run a cell, which must succeed; return what it showed."""
        before = len(self.shown)
        reply = self.client.execute_interactive(
            cell, allow_stdin=True, stdin_hook=self._paste, output_hook=self._show, timeout=PATIENCE
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return self.shown[before:]

    def interrupt(self, cell: str, rotated: Hold) -> str:
        """Run a cell, and interrupt it once its token request has rotated; return the name of its error."""
        self.sandbox.fail(Fault(rewrite=rotated))
        self.client.execute(cell)
        rotated.wait_until_reached()
        self.kernel.interrupt_kernel()
        name: str = self.client.get_shell_msg(timeout=PATIENCE)["content"]["ename"]
        return name

    def restart(self) -> None:
        self.kernel.restart_kernel()
        self.client.wait_for_ready(timeout=PATIENCE)

    def _show(self, message: dict[str, Any]) -> None:
        content = message["content"]
        self.shown += content.get("text", "") + content.get("data", {}).get("text/plain", "")

    def _paste(self, _: dict[str, Any]) -> None:
        self.asked += 1
        address = rf"{re.escape(self.sandbox.origin)}/oauth/authorize\S*"
        # The question has a channel of its own, and may come before the address.
        while not (addresses := re.findall(rf"{address}(?=\s)", self.shown)):
            self._show(self.client.get_iopub_msg(timeout=PATIENCE))
        self.client.input(self.sandbox.sign_in(addresses[-1], subject="alice"))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(redirect_uri="http://127.0.0.1:8765/callback") as running:
        yield running


@pytest.fixture
def notebook(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    opened = Notebook(sandbox, tmp_path)
    yield opened
    opened.close()


def test_the_page_about_notebooks_runs(notebook: Notebook, sandbox: Sandbox, tmp_path: Path) -> None:
    """One sign-in, for calls with and without await; an interrupt and a restart lose nothing, and nothing is shown."""
    first, blocking, awaiting = CELLS
    notebook.run(first)
    assert "Customer wallets" in notebook.run(blocking)
    assert "Customer wallets" in notebook.run(awaiting + "print(ledgers)")
    assert_no_secret_in("".join(notebook.run(value) for value in ("client", "me", "me.token()")), sandbox)

    here = OAuthClient(
        BlnkCloud(base_url=sandbox.origin),
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        store=f"sqlite:///{tmp_path / 'tokens.db'}",
    )
    key = here.for_subject("me").store_key
    before = here.store.load(key)
    with Hold() as rotated:
        assert notebook.interrupt("me.renew()", rotated) == "KeyboardInterrupt"
    wait_until(lambda: here.store.load(key) != before, "the interrupted renewal is saved")

    notebook.restart()
    notebook.run(first)
    notebook.run("me.renew()")
    assert notebook.asked == 1
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (2, 0)
