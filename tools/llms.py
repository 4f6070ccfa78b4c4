"""`docs/llms.txt`, and the pages as Markdown: the documentation for language models, as llmstxt.org describes it.

Used by `make snapshots`, which writes `docs/llms.txt`, and by `make docs`, which adds the rest to the built site. It
promises that each page of the navigation in zensical.toml is listed once, with its title and its first sentence, and
that each link leads to Markdown. It never has a sentence of its own: all that it shows is written in the pages.

    python tools/llms.py          writes docs/llms.txt
    python tools/llms.py site     writes each page as Markdown beside its HTML, and llms-full.txt with all but the
                                  reference of the API, which comes from the docstrings of the package
"""

from __future__ import annotations

import pydoc
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FIRST = "reference/for-assistants.md"
"""The page that a reader of llms.txt should open before any other."""

_SNIPPET = re.compile(r'^( *)--8<-- "([^":]+)(?::([\w-]+))?"$', re.MULTILINE)
_NAME = re.compile(r"^::: (\S+)\n(?:    .*\n|\n(?=    ))*", re.MULTILINE)
_MARKS = re.compile(r"^ *<!-- .*? -->\n", re.MULTILINE)
_SETTINGS = re.compile(r"\A---\n.*?^---\n\s*", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_SENTENCE = re.compile(r"(.+?[.:?!])(?=\s+[A-Z`*\[]|\s*\n|\s*$)", re.DOTALL)
# What begins a paragraph that is not prose: a table, a list, a tab, a snippet, a directive, a quotation, HTML.
_NOT_PROSE = ("|", "- ", "* ", "=== ", "--8<--", ":::", ">", "<", "#", "!!!", "!", "1. ")


def index() -> str:
    """The text of llms.txt: the title of the site, its summary, and a section for each part of the navigation."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    lines = [f"# {site['site_name']}", "", f"> {site['site_description']}", ""]
    lines.append(f"Read [{title(FIRST)}]({FIRST}) first: {_lowered(first_sentence(FIRST))}")
    for heading, pages in sections(site["nav"]):
        lines += ["", f"## {heading}", "", *(f"- [{title(page)}]({page}): {first_sentence(page)}" for page in pages)]
    return "\n".join(lines) + "\n"


def sections(navigation: list[dict[str, list[Any]]]) -> Iterator[tuple[str, list[str]]]:
    """Each part of the navigation with its pages, also those that have a title of their own there."""
    for part in navigation:
        for heading, entries in part.items():
            yield heading, [entry if isinstance(entry, str) else next(iter(entry.values())) for entry in entries]


def title(page: str) -> str:
    """The heading of a page."""
    return next(line[2:] for line in _text(page).splitlines() if line.startswith("# "))


def first_sentence(page: str) -> str:
    """The first sentence below the heading, without its links; one that ends with a colon ends with a full stop.

    Raises:
        ValueError: The page has no sentence before its second heading.
    """
    prose = _CODE.sub("", _MARKS.sub("", _text(page).partition("\n")[2])).partition("\n## ")[0]
    for paragraph in re.split(r"\n\s*\n", prose):
        found = _SENTENCE.match(paragraph.strip())
        if found is not None and not paragraph.strip().startswith(_NOT_PROSE):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(found[1].split()))
            return re.sub(r":$", ".", plain)
    raise ValueError(f"docs/{page} has no sentence below its heading: write what the page is for")


def markdown(page: str) -> str:
    """The page as a reader without the site needs it: what it includes written out, and no marks of tests."""
    return _NAME.sub(_documented, _MARKS.sub("", _SNIPPET.sub(_included, _text(page))))


def publish(site: Path) -> list[Path]:
    """Write every page as Markdown beside its HTML, and llms-full.txt; return what was written."""
    listed = [page for _, pages in sections(_navigation()) for page in pages]
    texts = {page: markdown(page) for page in sorted(listed, key=lambda page: page != FIRST)}
    written = {site / page: text for page, text in texts.items()}
    written[site / "llms-full.txt"] = "\n\n".join(
        f"<!-- {page} -->\n\n{text.strip()}" for page, text in texts.items() if not page.startswith("api/")
    )
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return list(written)


def _navigation() -> list[dict[str, list[Any]]]:
    navigation: list[dict[str, list[Any]]] = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"][
        "nav"
    ]
    return navigation


def _included(match: re.Match[str]) -> str:
    indent, file, section = match.groups()
    text = (ROOT / file).read_text("utf-8")
    if section:
        text = text.partition(f"<!-- --8<-- [start:{section}] -->\n")[2].partition(f"<!-- --8<-- [end:{section}] -->")[
            0
        ]
    return "\n".join(f"{indent}{line}".rstrip() for line in text.strip().splitlines())


def _documented(match: re.Match[str]) -> str:
    """The signatures and docstrings of a name, as `help` shows them."""
    return f"```text\n{pydoc.plain(pydoc.render_doc(match[1], '%s')).strip()}\n```\n"


def _text(page: str) -> str:
    """The page without the settings that one may begin with, between two lines of hyphens."""
    return _SETTINGS.sub("", (DOCS / page).read_text("utf-8"))


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def main(arguments: list[str]) -> int:
    """Write docs/llms.txt, or, with a directory, what the built site has beside its pages."""
    if arguments:
        publish(Path(arguments[0]))
    else:
        (DOCS / "llms.txt").write_text(index(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
