"""What the pages of the web frameworks ask a reader to do to try their program fits the program and the sandbox."""

from __future__ import annotations

import re

import pytest
from web.conftest import APPLICATIONS, HOW_TO

from blnk_auth._protocol.redirect_uris import accepts
from blnk_auth.cli.sandbox import command


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_changes_and_the_variables_fit_the_program_and_the_sandbox(name: str) -> None:
    """Each setting to change is in the program; its variables are set, as the sandbox has them without options."""
    page = (HOW_TO / f"{name}.md").read_text("utf-8")
    program, text = page.split("\n```\n", 2)[1], page.partition("## Try it on your own machine\n")[2]
    changed = re.findall(r"^- `(\w+=)", text, re.MULTILINE)
    assert [each for each in changed if each not in program] == []
    default = {each.name: each.default for each in command.params}
    (exported,) = re.findall(r"^export (.*)$", text, re.MULTILINE)
    assert dict(each.split("=") for each in exported.split()) == {
        "BLNK_URL": f"http://127.0.0.1:{default['port']}",
        "BLNK_CLIENT_ID": default["client_id"],
        "BLNK_CLIENT_SECRET": default["client_secret"],
    }
    assert set(re.findall(r'environ\["(\w+)"\]', program)) == set(re.findall(r"(\w+)=", exported))
    (redirect_uri,) = re.findall(r"http://127\.0\.0\.1:8765/oauth/callback", text)
    assert accepts(default["redirect_uri"], redirect_uri)
    assert text.count("8765") == 3
