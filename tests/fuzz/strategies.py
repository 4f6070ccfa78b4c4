"""What is likely to break a parser, and how a valid document becomes such a thing.

Used by the targets. `json_bodies` begins with valid documents and changes some of their values, their encoding, their
end; `mutated` changes any value and keeps its type. Beside both, targets try raw text and raw bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

HOSTILE_TEXTS = [
    *("", " ", "\x00", "\r\n", "\t", "\x1b[2J", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffd"),
    # Lone surrogates, what turns the direction of a line, what takes no room, what one font shows as another letter.
    *(
        "\ud800",
        "\udfff",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u00ad",
        "\u0130",
        "\u00df",
        "\uff0f",
        "\u3002",
        "\u0660",
        "²",
    ),
    *("'", '"', "\\", "<script>", "</style>", "&amp;", "%00", "%2f", "%ff", "%", "$provider", "${HOME}", "{0}"),
    *("null", "NaN", "Infinity", "-Infinity", "1e999", "-0", "1_000", "0x10", "９", "true"),
    *("9" * 400, "9" * 5_000, "a" * 300, "a" * 70_000, "\\" * 3_000, "\u00e9" * 3_000),
]
"""Values and parts of values."""

URL_PIECES = [
    *("http:", "https:", "wss:", "HTTPS:", "file:", "javascript:", "//", "/", "///", "\\", "/\\", "@", ":", "?", "#"),
    *("api.acme.test", "API.acme.test", "evil.test", "api.acme.test.", "user:secret@", "api.acme.test@evil.test"),
    *("127.0.0.1", "localhost", "[::1]", "[fe80::1%25eth0]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"),
    *("xn--bcher-kva.test", "bücher.test", "faß.test", "BÜCHER.test", "ａｐｉ.acme.test", "api。acme.test", "\u00ad"),
    *(":443", ":80", ":8443", ":0", ":65536", ":99999999999", ":+443", ":４４３", ": 443", ":"),
    *(
        "%2e",
        "%2f",
        "%40",
        "%00",
        "%",
        "\t",
        "\n",
        "\r",
        "\x00",
        " ",
        "\x7f",
        "\u200b",
        "\u202e",
        "\ud800",
        ".",
        "..",
        "-",
    ),
    *("a", "é", ";", "&", "=", "+", "[", "]", "{", "|", "^", "~", "_", "*", "x/../y"),
]
"""Parts of a URL, among them all that parsers disagree about."""

BYTES = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b"=",
]

TEXTS = st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=20)

NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**18, 10**300]) | st.integers(-(10**12), 10**12) | st.floats()

_RAW_JSON = [
    *("null", "true", "false", "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400", "-0", "-0.0", "1e-999"),
    *("0", "1", "-1", "3600", "3600.5", '"3600"', '"１２"', '"1_0"', '"-1"', '"1e3"', '"nan"', '" 60 "', "1.7e308"),
    *("9" * 299, "9" * 400, "9" * 5_000, "-" + "9" * 5_000, "9" * 100_000, "0." + "1" * 5_000, "1e" + "9" * 400),
    *(
        '""',
        '" "',
        '"\\u0000"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u202e"',
        '"\x00"',
        '"\t"',
        '"\\x"',
        '"é"',
        '"\u200b"',
    ),
    *(
        "[]",
        "{}",
        "[null]",
        '{"a":1}',
        "[" * 60 + "]" * 60,
        "[" * 5_000 + "]" * 5_000,
        '{"a":' * 3_000 + "1" + "}" * 3_000,
    ),
    *(
        "[" * 100_000,
        '["' + "]" * 500 + '"]',
        '"' + "a" * 300 + '"',
        '"' + "a" * 70_000 + '"',
        "[" + "1," * 9_000 + "1]",
    ),
    *('{"error":"invalid_grant"}', '["invalid_grant"]', '"invalid_grant"', '{"code":"x","message":{}}'),
]
"""What is written in the place of a value in JSON."""

RAW_JSON = st.sampled_from(_RAW_JSON) | TEXTS.map(json.dumps) | NUMBERS.map(json.dumps)

JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
"""Any value that `json.loads` returns."""

_ENCODINGS = ["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp037"]


def one_of_these(values: Sequence[Any], others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly one of the values, sometimes something else."""
    return st.integers(0, 4).flatmap(lambda chance: others if chance == 4 else st.sampled_from(values))


@st.composite
def json_bodies(draw: st.DrawFn, documents: Sequence[dict[str, Any]], members: Sequence[str]) -> bytes:
    """The bytes of one of the documents, with up to three values replaced and two of `members` added, even twice."""
    document = draw(st.sampled_from(list(documents)))
    replaced = {
        path: draw(RAW_JSON) for path in draw(st.lists(st.sampled_from(_paths(document)), max_size=3, unique=True))
    }
    added = draw(st.lists(st.tuples(st.sampled_from(list(members)) | TEXTS, RAW_JSON), max_size=2))
    text = _written(document, (), replaced, added)
    body = text.encode(draw(st.sampled_from(_ENCODINGS)), errors="surrogatepass" if text.isascii() else "replace")
    ending = draw(st.integers(0, 19))
    if ending == 19:
        return body[: draw(st.integers(0, len(body)))]
    if ending == 18:
        return body + draw(st.sampled_from([*BYTES, body]))
    return draw(edited(body, BYTES)) if ending == 17 else body


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [path, *(each for name in value for each in _paths(value[name], (*path, name)))]
    if isinstance(value, list):
        return [path, *(each for number, inner in enumerate(value) for each in _paths(inner, (*path, number)))]
    return [path]


def _written(
    value: Any, path: tuple[Any, ...], replaced: dict[tuple[Any, ...], str], added: list[tuple[str, str]]
) -> str:
    if path in replaced:
        return replaced[path]
    if isinstance(value, dict):
        written = [f"{json.dumps(name)}: {_written(value[name], (*path, name), replaced, [])}" for name in value]
        return "{" + ", ".join([*written, *(f"{json.dumps(name)}: {raw}" for name, raw in added)]) + "}"
    if isinstance(value, list):
        inner = (_written(each, (*path, number), replaced, []) for number, each in enumerate(value))
        return "[" + ", ".join(inner) + "]"
    return json.dumps(value)


@st.composite
def edited(draw: st.DrawFn, value: Any, pieces: Sequence[Any]) -> Any:
    """A text, or bytes, with up to three pieces put in, put in the place of others, taken out, or doubled."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 8)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            value = value[:start]
        elif kind == 1:
            value = value[:start] + value[start:end] * draw(st.integers(0, 3)) + value[end:]
        elif kind == 2 and isinstance(value, bytes) and start < len(value):
            value = value[:start] + bytes([value[start] ^ (1 << draw(st.integers(0, 7)))]) + value[start + 1 :]
        else:
            value = value[:start] + draw(st.sampled_from(list(pieces))) + value[start if kind == 3 else end :]
    return value


@st.composite
def mutated(draw: st.DrawFn, value: Any, pieces: Sequence[str], words: frozenset[str]) -> Any:
    """A value of the same type, with something changed somewhere in it, but never one of `words`."""
    if isinstance(value, str) and value not in words:
        return draw(edited(value, pieces))
    if isinstance(value, bytes):
        return draw(edited(value, BYTES))
    if isinstance(value, tuple | list) and value:
        number = draw(st.integers(0, len(value) - 1))
        return type(value)((*value[:number], draw(mutated(value[number], pieces, words)), *value[number + 1 :]))
    if isinstance(value, dict) and value:
        name = draw(st.sampled_from(list(value)))
        return {**value, name: draw(mutated(value[name], pieces, words))}
    return value


def texts_of(pieces: Sequence[str], most: int = 9) -> st.SearchStrategy[str]:
    """Strings that are put together from pieces, and any others."""
    return st.lists(st.sampled_from(list(pieces)), max_size=most).map("".join) | st.text(max_size=30)
