"""`make types` checks every Python example, and `tests/typing/examples.py` lists nothing that is out of date."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Container
from pathlib import Path
from types import ModuleType

import pytest
from docs.test_readme import ROOT, python_blocks


def _loaded() -> ModuleType:
    """`typing` is a module of Python's own, so that the directory of that name cannot be imported from."""
    spec = importlib.util.spec_from_file_location("typed_examples", ROOT / "tests" / "typing" / "examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


examples = _loaded()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the checkers read."""
    directory = tmp_path_factory.mktemp("examples")
    examples.write(directory)
    return directory


def sources() -> dict[str, str]:
    """The source of each module as its page has it."""
    modules = examples.examples()
    return {name: examples.source_of(name, parts, modules) for name, parts in modules.items()}


def left_out(unchecked: Container[tuple[str, int]]) -> set[tuple[str, int]]:
    """(page, number) of each block of a page that is in no module."""
    modules = examples.examples(unchecked)
    lines = {(name.partition("/")[0], block.line) for name, parts in modules.items() for block in parts}
    blocks = examples.blocks()
    return {(examples.name_of(page), number) for page, number, it in blocks if (page.stem, it.line) not in lines}


def test_every_example_is_checked_but_those_that_are_listed() -> None:
    """Each block of each page, also if its packages are installed elsewhere. What is listed exists and has a reason."""
    found = {page: python_blocks(page.read_text("utf-8")) for page in (ROOT / "docs").rglob("*.md")}
    in_readme = python_blocks((ROOT / "README.md").read_text("utf-8"))
    assert len(list(examples.blocks())) == len(in_readme) + sum(map(len, found.values())) > 100
    # A module has the name of its page.
    assert len({page.stem for page in found if found[page]}) == len([page for page in found if found[page]])
    assert left_out(examples.UNCHECKED) == set(examples.UNCHECKED)
    assert all(examples.UNCHECKED.values())


def test_an_entry_of_the_list_leaves_out_its_block_alone() -> None:
    """And one that names no block leaves out nothing, by which the test above finds it."""
    assert left_out({("README.md", 2), ("docs/no-such-page.md", 1)}) == {("README.md", 2)}


def test_a_module_has_the_lines_of_its_page(written: Path) -> None:
    """So that an error of a checker points into the page; nothing but types and imports is added."""
    modules = examples.examples()
    for name, parts in modules.items():
        module = (written / f"{examples.module_of(name)}.py").read_text("utf-8")
        shown, lines = {block.line: block.source for block in parts}, module.splitlines()
        for line, source in shown.items():
            for number, text in enumerate(source.splitlines(), start=line):
                is_changed = text != lines[number - 1]
                assert not is_changed or text.lstrip().startswith(("def ", "async def ", "from ", "import ")), name
    assert len(list(written.glob("*.py"))) == len(modules)


def test_each_parameter_without_a_type_gets_one() -> None:
    """And no type is listed that no example needs."""
    assert {each.arg for source in sources().values() for each in examples.unannotated(source)} == set(
        examples.PARAMETERS
    )
    assert "TokenSource" in examples.with_types("\ndef show(alice, *, pause=1.0): ...\n")
    assert ast.parse(examples.with_types("\ndef show(alice, *, pause=1.0): ...\n"))


def test_a_package_is_any_only_where_it_must_be() -> None:
    """An example imports it, and it is not installed here, or is installed without types."""
    imported = {each.partition(".")[0] for source in sources().values() for each in examples.packages(source)}
    assert set(examples.OF_ANY_TYPE) - imported == set()
    for name, reason in examples.OF_ANY_TYPE.items():
        spec = importlib.util.find_spec(name)
        assert (spec is None) == reason.startswith("only .venv/clients has it"), name
        directories = [] if spec is None else [Path(each) for each in spec.submodule_search_locations or ()]
        assert [each for each in directories if (each / "py.typed").exists()] == [], name


def test_the_lists_name_what_there_is() -> None:
    """Each of `RESULTS` and of `PARTLY_TYPED` is a module of examples."""
    assert set(examples.RESULTS) | set(examples.PARTLY_TYPED) <= set(examples.examples())


def test_a_module_whose_results_are_not_listed_is_refused() -> None:
    """So that a new page declares what its examples make."""
    with pytest.raises(SystemExit, match="RESULTS has no line for the examples of a-new-page"):
        examples.asserted_results("a-new-page", "client = OAuthClient()\n")
