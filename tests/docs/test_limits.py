"""The numbers of docs/reference/limits.md are those of the package."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re

import pytest
from support.prose import ROOT

from blnk_auth import RenewalPolicy
from blnk_auth._protocol import challenges, foreign_tokens, origins, requests, resource_metadata
from blnk_auth._request import rejection_body
from blnk_auth._transport import kept_clients, metadata_fetch
from blnk_auth.errors import _json_size
from blnk_auth.stores import _sql_connections, _sqlite_file
from blnk_auth.token import MOST_EXTRA

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text("utf-8")
WORDS = {5: "five"}
KIB, MIB = 1024, 1024 * 1024

_STATEMENT = _sql_connections.STATEMENT_SECONDS
_CHECKED = _sqlite_file._CHECKED_ON_OPENING
_DEEPEST = _json_size._DEEPEST
_HEADER = challenges._LONGEST_HEADER
_URL = origins._LONGEST_URL
_SHORTEST = requests._SHORTEST_SECRET
_BYTES, _SECONDS = rejection_body.MAX_REJECTION_BYTES, rejection_body.MAX_REJECTION_SECONDS
_DOCUMENTS = WORDS[metadata_fetch.MOST_DOCUMENTS]

PHRASES = [
    f"is {_STATEMENT} to {_STATEMENT + 1} seconds with `psycopg`",
    f"A `SQLiteStore` of more than {_CHECKED // MIB} MB is not checked",
    f"keeps about {MOST_EXTRA // KIB} KiB of unknown members, at most {_DEEPEST} levels deep",
    f"follows after `rejection_cooldown` ({RenewalPolicy().rejection_cooldown:g} s)",
    f"The first {_HEADER:,} characters of `WWW-Authenticate`",
    f"have at most {_URL:,} characters",
    f"At most {_BYTES // KIB} KiB of the body of a rejection are read",
    f"is read for at most {_SECONDS:g} seconds ({2 * _SECONDS:g} where it stops in the middle)",
    f"up to {rejection_body.MAX_SHARED_BYTES // MIB} MiB of a rejection's body is read",
    f"still comes after {_SECONDS:g} seconds",
    f"reaches its reader once {_BYTES // KIB} KiB or the whole of it have arrived, or after {_SECONDS:g} seconds",
    f"does not end with the {_SECONDS:g} seconds",
    f"is used again within {kept_clients.MOST_IDLE_SECONDS:g} seconds",
    f"of which `blnk_auth.migrate` reads up to {foreign_tokens._LONGEST // MIB} MiB",
    f"A parameter of {_SHORTEST} characters or more",
    f"has at most {metadata_fetch.MOST_BYTES // KIB} KB. For one resource {_DOCUMENTS} documents are read",
    f"at most {metadata_fetch.MOST_REQUESTS} requests and within {metadata_fetch.MOST_SECONDS:g} seconds in all",
    f"the first {WORDS[resource_metadata.MOST_SERVERS]} are considered",
]
OF_OTHERS = ["its own read timeout (30 seconds by default)", "the limit of 1,024 bytes for a line"]
"""Numbers that are not this package's: the timeout of niquests, and macOS."""

_NUMBER = re.compile(r"\d[\d,.]* ?(?:KiB|KB|MiB|MB|seconds?|s|characters|levels|documents|requests|bytes|minutes)\b")


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_number_is_that_of_the_package(phrase: str) -> None:
    """The page has the number as the constant is today."""
    assert phrase in PAGE


def test_no_number_is_left_out() -> None:
    """Each number with a unit on the page is compared above, or is not this package's."""
    rest = PAGE
    for phrase in (*PHRASES, *OF_OTHERS):
        rest = rest.replace(phrase, "")
    assert _NUMBER.findall(rest) == []
