"""Writes a record as one string, with its key and its version, and reads it back.

Used by `FileStore` and `KeyringStore`, whose files and entries are not named by the key itself. It promises that a
string is read exactly as it was written, or is reported as damaged. A record of another key, or of a newer release, is
never returned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from ..errors import StoreError
from ._token_store import Record, Version, from_json, to_json

FORMAT = 1
"""The version of the text's format, in each text."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a string is not the record of the key under which it was found."""

    reason: str


def write_record(key: str, version: Version, data: dict[str, Any]) -> str:
    """The text of a record, in ASCII. Raises `StoreError` if `data` is not a JSON object."""
    return f'{{"blnk_auth":{FORMAT},"key":{json.dumps(key)},"version":"{version}","data":{to_json(data)}}}\n'


def read_record(text: str | bytes, key: str, where: str) -> Record | Damage:
    """The record that `write_record` wrote. Raises `StoreError`, naming `where`, if a newer release wrote it."""
    members = from_json(text)
    if members is None:
        return Damage("it is cut short or not written by blnk_auth" if text.strip() else "it is empty")
    written, version, data = members.get("blnk_auth"), members.get("version"), members.get("data")
    if isinstance(written, int) and written > FORMAT:
        raise StoreError(
            f"{where} was written by a newer blnk_auth (format {written}, this one knows {FORMAT}) "
            "and was left as it is",
            key=key or None,
            remedy="upgrade blnk_auth here, or choose another place",
        )
    if written != FORMAT or not isinstance(version, str) or not isinstance(data, dict):
        return Damage("it was not written by blnk_auth")
    if members.get("key") != key:
        return Damage("it has the record of another key")
    return Record(data=cast("dict[str, Any]", data), version=version)


def key_in(text: str | bytes) -> str | None:
    """The key in a record's text; None if it has no key."""
    key = (from_json(text) or {}).get("key")
    return key if isinstance(key, str) else None
