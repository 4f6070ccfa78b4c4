"""The errors of `docs/reference/errors.md` and `error-messages.md`: each class with its fields, each message with what
to do, and what the codes of an authorization server become.

Used by `support.reference`. It promises every class and every message; those that differ as a whole each time are
listed in `WITHOUT_WORDS`, with where they are described instead.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from dataclasses import dataclass

from support.generated.docstrings import docstring_of
from support.generated.markdown import escaped, listing, prose, table
from support.generated.wording import filled_in, general, possible, scope_of
from support.messages import Message, messages, named_parts

import blnk_auth
from blnk_auth._protocol.refusals import REGISTERED_CODES, is_transient, what_to_check

CLASSES = (
    *("BlnkAuthError", "SignInRequired", "TemporarilyUnavailable", "ConfigurationError", "StoreError", "Conflict"),
    "ProtocolError",
)

_REST = "Tokens and renewal"
AREAS: dict[str, str] = {
    "Installation": r"errors\._extras|_protocol\.authlib",
    "The client": r"client|_renewal\.client_\w+|_protocol\.(callables|client_authentication)|policy|source|errors",
    "The provider": r"_protocol\.(setting_checks|origins|http_values|discovery)|providers\..*",
    "Keys, DPoP and certificates": r"_protocol\.(dpop_key|signing|assertions)|_renewal\.proofs|_transport\.tls",
    "Signing in": r"_sign_in\..*|_protocol\.(pushed_authorization|redirect_uris)",
    "Protected resources": r"_resource\..*|resource|_transport\.(addresses|metadata_fetch)|_protocol\."
    r"(resource_metadata|issuer_metadata|registration|client_metadata)",
    "Requests to an API": r"_request\..*",
    _REST: r"token|_renewal\..*|_protocol\..*|_transport\..*",
    "Stores": r"stores\..*",
    "Configuration file and command line": r"config\..*|cli\..*",
    "Tokens of a platform": r"workload_identity",
    "The sandbox and tests": r"testing(\..*)?",
}
"""The headings below each class, in this order, with the modules of each. The first that matches counts; what matches
no other is below `_REST`."""

WITHOUT_WORDS = {
    ("_protocol.response_errors", "{answered}"): "the answers of the authorization server, on the page of the errors",
    ("_renewal.authorization_grants", "{grant.purpose}: {verdict.problem}"): "the same, for a token that is presented",
    ("_resource.learning", "{problem}"): "one of the messages about a document, after the document's URL",
    ("config._profile", "{error.problem}"): "the message of the store's or the keyring's own error",
    (
        "config._references",
        "{str(import_failure('refers to the keyring, which', 'keyring', 'keyring', error))}",
    ): "the message of a missing package",
}

_PLACE = "\u2039file\u203a: profile \u2039name\u203a: \u2039setting\u203a "
_PLACEHOLDER = re.compile("\u2039[^\u203a]*\u203a|…")


@dataclass(frozen=True)
class Entry:
    """A message as the page shows it."""

    problem: str
    variants: tuple[str, ...]
    remedies: tuple[str, ...]
    parameter: str | None
    is_general: bool

    def merged(self, other: Entry) -> Entry:
        """With the variants and the remedies of the same problem elsewhere."""
        variants = dict.fromkeys((*self.variants, *other.variants))
        remedies = dict.fromkeys((*self.remedies, *other.remedies))
        return Entry(self.problem, tuple(variants), tuple(remedies), self.parameter or other.parameter, self.is_general)


def error_class(name: str) -> str:
    """What is written below the heading of a class."""
    described = docstring_of(getattr(blnk_auth, name))
    parts = [prose(described.summary), *map(prose, described.paragraphs)]
    if described.items:
        parts.append("\n".join(f"* {prose(each)}" for each in described.items))
    left_out = () if name == "BlnkAuthError" else ("problem", "fields")
    entries = {field: text for field, text in described.entries.items() if field not in left_out}
    if entries:
        parts.append(f"Its fields:\n\n{listing((f'**`{field}`**', prose(text)) for field, text in entries.items())}")
    return "\n\n".join(parts)


def server_answers() -> str:
    """A heading for each registered error code, then a table for answers without one."""
    parts: list[str] = []
    for code in sorted(REGISTERED_CODES):
        raised, remedy = _answer(400, code)
        answered = f"the authorization server answered 400 {escaped(code)}"
        parts.append(f"### `{code}`\n\n{answered}\n\n`{raised}`: {prose(remedy)}.")
    rows: list[tuple[str, str, str]] = []
    for shown, status in (("3xx", 302), ("401, 403", 401), ("404, 405, 406, 415, 501", 404), ("408, 425, 429", 429)):
        rows.append((shown, *_answer(status, None)))
    rows += [("413", *_answer(413, None)), ("other 5xx", *_answer(500, None)), ("other 4xx", *_answer(400, None))]
    rows.append(("2xx without a token", *_answer(200, None)))
    shown_rows = ((status, f"`{raised}`", prose(remedy)) for status, raised, remedy in rows)
    return "\n\n".join((*parts, "### Answers without a code", table(("status", "error", "what to do"), shown_rows)))


def _answer(status: int, code: str | None) -> tuple[str, str]:
    """The class and the remedy for an answer of the token endpoint, where the provider has no rule of its own."""
    from blnk_auth._protocol import refusals

    verdict = refusals._verdict_of_the_rfcs(status, code)  # pyright: ignore[reportPrivateUsage]
    if verdict == "sign_in":
        return "SignInRequired", "the user must sign in again"
    if is_transient(status, code):
        return "TemporarilyUnavailable", "try again later"
    raised = "ProtocolError" if verdict is None else "ConfigurationError"
    return raised, what_to_check(status, code, "token_endpoint", refreshing=False)


def error_messages(name: str) -> str:
    """Every message of a class, by area."""
    merged: dict[str, tuple[str, Entry]] = {}
    for message, entry in all_entries():
        if message.error == name or (name == "ConfigurationError" and message.is_of_setting):
            area, known = merged.get(entry.problem, (area_of(message), entry))
            merged[entry.problem] = (area, known.merged(entry))
    parts: list[str] = []
    for area in AREAS:
        entries = [entry for where, entry in merged.values() if where == area]
        if entries:
            parts += [f"### {name}: {area[0].lower()}{area[1:]}", *map(_shown, entries)]
    return "\n\n".join(parts)


def area_of(message: Message) -> str:
    """The heading below which a message is."""
    return next((area for area, modules in AREAS.items() if re.fullmatch(modules, message.module)), _REST)


@functools.cache
def all_entries() -> tuple[tuple[Message, Entry], ...]:
    """Every message that somebody could recognize, with its entry."""
    return tuple((message, entry) for message, entry in _every_entry() if has_words(entry.problem))


def without_words() -> set[tuple[str, str]]:
    """The module and the text of each other one."""
    return {(message.module, message.problem) for message, entry in _every_entry() if not has_words(entry.problem)}


@functools.cache
def _every_entry() -> tuple[tuple[Message, Entry], ...]:
    return tuple((message, _entry(message)) for message in messages())


def _entry(message: Message) -> Entry:
    texts = {name: _texts(message, node) for name, node in message.given.items() if name in ("problem", "remedy")}
    problem, variants = texts["problem"]
    remedy, remedies = texts.get("remedy", ("", []))
    is_general = has_words(problem)
    worded = [each for each in variants if has_words(each)]
    if worded and (len(worded) == 1 or not is_general):
        problem = worded[0]
    others = tuple(each for each in worded if each != problem)
    advice = tuple(filter(is_advice, remedies)) or tuple(filter(is_advice, [remedy]))
    if message.is_of_setting:
        problem, others = _PLACE + problem, tuple(_PLACE + each for each in others)
    parameter = message.parameter if message.parameter and re.fullmatch(r"\w+", message.parameter) else None
    return Entry(problem, others, advice, parameter, is_general)


def _texts(message: Message, node: ast.expr) -> tuple[str, list[str]]:
    scope = scope_of(message.module, node)
    return general(node, scope), possible(node, scope)


def has_words(text: str) -> bool:
    """Whether somebody could recognize it."""
    return len(re.findall(r"[a-zA-Z]{2,}", _PLACEHOLDER.sub("", text))) > 1


def is_advice(text: str) -> bool:
    """Whether a remedy has at least one word of its own."""
    return bool(re.search(r"[a-zA-Z]{2,}", _PLACEHOLDER.sub("", text)))


def other_remedies() -> str:
    """The remedies that a module chooses by the cause, which only the running program knows."""
    parts: list[str] = []
    for module, group in itertools.groupby(named_parts(), key=lambda part: part[0]):
        if module in _CAUSES:
            rows = [(_cause(name), prose(filled_in(text, module))) for _, name, text in group if name != "_GUIDE"]
            parts += [f"### {_CAUSES[module]}", listing(rows)]
    return "\n\n".join(parts)


_CAUSES = {
    "stores._redis_server": "Redis and Valkey",
    "stores._sql_errors": "PostgreSQL, MariaDB and MySQL",
    "stores._sqlite_file": "SQLite",
}
_NAMES = {
    "_SIGN_IN": "sign-in refused",
    "_RIGHTS": "not allowed",
    "_CONNECT": "no connection",
    "_OTHER": "anything else",
}


def _cause(name: str) -> str:
    by_key = re.search(r"\[['\"]?(?:\w+\.)?(\w+)['\"]?\]", name)
    if by_key:
        return f"`{by_key[1]}`"
    return _NAMES.get(name, name.strip("_").lower().replace("_", " ").removesuffix(" remedy"))


def _shown(entry: Entry) -> str:
    parts = [f"#### {escaped(entry.problem)}"]
    if entry.variants:
        parts.append(f"{'In full, one of' if entry.is_general else 'Or'}:\n\n{_listed(entry.variants)}")
    named = f"Parameter: `{entry.parameter}`. " if entry.parameter else ""
    if len(entry.remedies) > 1:
        parts.append(f"{named}What to do, as the end of the message states:\n\n{_listed(entry.remedies)}")
    else:
        advice = "".join(map(escaped, entry.remedies)) or "see the end of the message"
        parts.append(f"{named}What to do: {advice}{'' if advice.endswith(('.', '?')) else '.'}")
    return "\n\n".join(parts)


def _listed(texts: tuple[str, ...]) -> str:
    return "\n".join(f"* {escaped(each)}" for each in texts)
