"""`Auth` is accepted and used in the same way whichever HTTP packages are imported, and in whichever order."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from support.limits import PATIENCE

PACKAGES = ("requests", "httpx", "httpx2")

FEW = [
    *((*PACKAGES[:position], "Auth", *PACKAGES[position:]) for position in range(4)),
    *(("Auth", package) for package in PACKAGES),
    ("Auth",),
]
"""Every position of the object among the packages; and a process in which only one of them is imported, or none."""

ORDERS = [
    *FEW,
    *(
        pytest.param(order, marks=pytest.mark.deep)
        for order in itertools.permutations(("Auth", *PACKAGES))
        if order not in FEW
    ),
]
"""And every order of the packages."""

COPIES = {
    "another copy of httpx is imported after the object was used": "Auth httpx again:httpx httpx",
    "another copy of httpx2": "httpx2 Auth again:httpx2 httpx2 again:httpx2 httpx2",
    "another copy of requests": "Auth requests again:requests requests",
}
if hasattr(httpx2, "alias_httpx"):  # not in the lowest version that is allowed
    COPIES |= {
        "httpx is a second name of httpx2": "httpx2 alias httpx Auth requests",
        "httpx becomes one later": "Auth httpx2 alias httpx",
    }


PROGRAM = Path(__file__).parents[1] / "support" / "auth_in_a_process.py"


def results(*arguments: str) -> list[int | str]:
    """The results of the program: for each import the status of a request, or the error. It fails if a check does."""
    command = [sys.executable, str(PROGRAM), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    printed: list[int | str] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_it_is_accepted_in_every_order_of_import(order: tuple[str, ...]) -> None:
    """It is an instance of the class of each imported package, it imports none, and a rejection is resolved."""
    assert results(*order) == [200] * (len(order) - 1)


@pytest.mark.parametrize("case", COPIES)
def test_it_is_accepted_by_every_copy_of_a_package(case: str) -> None:
    """A program may import a package again; a client of the earlier copy sends requests with renewal all the same."""
    assert set(results(*COPIES[case].split())) == {200}


@pytest.mark.parametrize("package", ["httpx", "httpx2"])
def test_it_is_never_used_as_a_function(package: str) -> None:
    """A client of httpx takes what is not its own for a function, and would not renew. Here: an unknown copy of it.

    No other client does that with an `Auth`. The request is not sent, and the error names the mistake.
    """
    assert results(package, f"again:{package}", package, "Auth") == ["ConfigurationError auth", 200]
