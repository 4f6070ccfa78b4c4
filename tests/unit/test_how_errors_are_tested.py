"""Tests look at the fields of our errors, not at their wording: so a message can be reworded in one place.

The messages are in tests/data/error_messages.txt. Everything else uses `support.errors.raises`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.error_wording import places_that_take_errors_apart

from blnk_auth import errors

TESTS = Path(__file__).parents[1]

OURS = frozenset(
    name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.BlnkAuthError)
)

MAY_LOOK_AT_WORDING = {
    "cli/test_typical_mistakes.py": "each mistake has the right line and remedy",
    "unit/test_typical_mistakes.py": "each mistake has the right problem and remedy",
    "docs/test_prove_it_survives.py": "the text is that of pytest",
    "clients/test_blnk_python.py": "the SDK shows an error as the message of a response",
    "cli/test_doctor.py": "a finding of `doctor` is no error, although it has a remedy",
    "unit/test_errors.py": "a text is made of the problem and the remedy",
    "unit/test_token.py": "a ValueError has nothing but its text, which names the member",
    "scenarios/test_aiohttp_middlewares.py": "an error of aiohttp shows the headers of its request",
    "simulation/test_simulation.py": "the text is a report of the simulation",
    "fuzz": "any text must be one printable line without secrets",
}
"""Files and directories of tests whose subject is the text, each with the reason."""

FILES = [path for path in sorted(TESTS.rglob("*.py")) if "node_modules" not in path.parts]


def places_that_look_at_wording(tree: ast.AST) -> list[str]:
    """Each `match=` for an error of the package, and each text of an error that is searched or compared.

    That a text does not have something, such as a secret, may be checked anywhere.
    """
    matches = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and _matches_ours(node)]
    return matches + places_that_take_errors_apart(_WithoutWhatIsFine().visit(tree))


def places_in(path: Path) -> list[str]:
    """The same of a file."""
    return places_that_look_at_wording(ast.parse(path.read_text("utf-8")))


def _matches_ours(call: ast.Call) -> bool:
    if all(each.arg != "match" for each in call.keywords) or ast.unparse(call.func) != "pytest.raises":
        return False
    names = {node.id for each in call.args for node in ast.walk(each) if isinstance(node, ast.Name)}
    # `type(error)` may be an error of the package.
    return bool(names & {*OURS, "type"})


class _WithoutWhatIsFine(ast.NodeTransformer):
    """Removes `x not in text`, and a comparison to a constant of the package by its name: `remedy == module._X`."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        by_name = isinstance(node.comparators[0], ast.Attribute) and node.comparators[0].attr.isupper()
        return ast.Constant(value=True) if isinstance(node.ops[0], ast.NotIn) or by_name else node


def may_look_at_wording(path: Path) -> bool:
    relative = path.relative_to(TESTS).as_posix()
    return any(relative == each or relative.startswith(f"{each}/") for each in MAY_LOOK_AT_WORDING)


def test_no_test_looks_at_the_text_of_an_error() -> None:
    """Except for those whose subject is the text."""
    found = {path: places_in(path) for path in FILES if not may_look_at_wording(path)}
    assert {path: places for path, places in found.items() if places} == {}


@pytest.mark.parametrize("name", MAY_LOOK_AT_WORDING)
def test_each_exception_is_needed(name: str) -> None:
    """It is there, and looks at wording."""
    paths = [path for path in FILES if path == TESTS / name or (TESTS / name) in path.parents]
    assert any(places_in(path) for path in paths)


@pytest.mark.parametrize(
    "code",
    [
        "pytest.raises(StoreError, match='x')",
        "pytest.raises((OSError, StoreError), match='x')",
        "pytest.raises(type(error), match='x')",
        "assert 'x' in str(caught.value)",
        "assert 'x' in caught.value.problem",
        "assert 'x' in (raised.value.remedy or '')",
        "assert caught.value.remedy == 'x'",
        "assert re.search('x', str(error))",
        "assert error.problem.startswith('x')",
    ],
)
def test_looking_at_wording_is_seen(code: str) -> None:
    """In each of the ways that were once in use."""
    assert len(places_that_look_at_wording(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "pytest.raises(ValueError, match='x')",
        "raises(StoreError, parameter='path', shows='x')",
        "assert 's3cret' not in str(caught.value)",
        "assert caught.value.remedy",
        "assert problem.remedy == _sql_errors._PREPARED",
        "assert caught.value.reason == 'refused'",
    ],
)
def test_looking_at_fields_is_fine(code: str) -> None:
    """And so is that a text lacks something, and the errors of others."""
    assert places_that_look_at_wording(ast.parse(code)) == []
