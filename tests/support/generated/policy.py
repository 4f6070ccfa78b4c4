"""The fields of `docs/reference/policy.md`, from the docstring and the defaults of `RenewalPolicy`.

Used by `support.reference`. It promises every field, in the order of the docstring.
"""

from __future__ import annotations

import re
from dataclasses import fields

from support.generated.docstrings import docstring_of
from support.generated.markdown import listing, prose

from blnk_auth import RenewalPolicy

_BEGINNING = re.compile(r"^(Seconds|Share|Count|Bytes), default [\d.,]*\d(?: \([^)]*\))?\. ")


def policy_fields() -> str:
    """The list of the fields, each with its unit and its default."""
    described = docstring_of(RenewalPolicy).entries
    defaults = {each.name: each.default for each in fields(RenewalPolicy)}
    assert described.keys() == defaults.keys()
    rows: list[tuple[str, str]] = []
    for name, text in described.items():
        beginning = _BEGINNING.match(text)
        assert beginning is not None, name
        default = f"{defaults[name]:,}".removesuffix(".0")
        rows.append((f"**`{name}`** ({beginning[1].lower()}, default {default})", prose(text[beginning.end() :])))
    return listing(rows)
