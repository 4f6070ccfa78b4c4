"""Where a redirect leads: no header that we attach follows a `Location` about which URL parsers disagree."""

from __future__ import annotations

import time

import pytest

from blnk_auth._protocol.origins import Origin
from blnk_auth._request.redirects import leads_to

API = Origin("https", "api.acme.test", 443)
OTHER_PORT = Origin("https", "api.acme.test", 8443)
EVIL = Origin("https", "evil.test", 443)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/next", API),
        ("next", API),
        ("./next", API),
        ("../a/b?c=d#e", API),
        ("?page=2", API),
        ("#top", API),
        ("", API),
        ("/a//b", API),
        ("/%09/x", API),
        ("/caf\xe9", API),
        ("/sign-in?next=https://evil.test/", API),
        ("https://api.acme.test", API),
        ("https://api.acme.test/x", API),
        ("https://api.acme.test:443/x", API),
        ("HTTPS://API.acme.test/x", API),
        ("//api.acme.test/x", API),
        ("https://api.acme.test?x", API),
        ("https://api.acme.test:8443/x", OTHER_PORT),
        ("https://evil.test/x", EVIL),
        ("//evil.test/x", EVIL),
        ("http://api.acme.test/x", Origin("http", "api.acme.test", 80)),
        ("https://[::1]:8443/x", Origin("https", "::1", 8443)),
        # Read differently by different parsers, or never sent by an honest server.
        ("////evil.test/x", None),
        ("///evil.test/x", None),
        ("https:////evil.test/x", None),
        ("https:/evil.test/x", None),
        ("https:evil.test", None),
        ("//\\evil.test/x", None),
        ("/\\evil.test/x", None),
        ("\\\\evil.test/x", None),
        ("/\t/evil.test/x", None),
        ("\t//evil.test/x", None),
        ("https://api.acme.test\\@evil.test/", None),
        ("https://api.acme.test@evil.test/", None),
        ("https://api.acme.test:x/", None),
        ("https://api.acme.test:99999999/", None),
        ("https://b\xfccher.test/", None),
        ("ftp://api.acme.test/x", None),
        ("mailto:x@acme.test", None),
        ("/a b", None),
        ("/a\r\nb", None),
        ("/a\x00b", None),
    ],
)
def test_where_a_location_leads(location: str, expected: Origin | None) -> None:
    """The origin, or None where it is not certain."""
    assert leads_to(API, location) == expected


@pytest.mark.parametrize("piece", ["a", "/", "a.", "a/", "a:", "\xe9", ":8", "["])
def test_a_long_location_is_read_in_linear_time(piece: str) -> None:
    """Twice the length takes about twice the time: no regular expression backtracks over foreign text."""

    def seconds(length: int) -> float:
        location = "https://" + piece * length + " "
        relative = piece * length + " "
        best = []
        for _ in range(3):
            began_at = time.process_time()
            leads_to(API, location)
            leads_to(API, relative)
            best.append(time.process_time() - began_at)
        return min(best)

    assert seconds(200_000) < 0.5
