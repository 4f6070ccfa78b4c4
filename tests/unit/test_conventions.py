"""What every module of the package keeps to: words, sizes, documentation, and that no error's text is taken apart."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator, Sized
from pathlib import Path

import pytest
from support.error_wording import is_error, places_that_take_errors_apart, words
from support.imports import syntax_tree

import blnk_auth
from blnk_auth import errors

PACKAGE = Path(blnk_auth.__file__).parent
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def trees() -> dict[str, ast.Module]:
    return {name: syntax_tree(path) for name, path in MODULES.items()}


def _is_ours(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, errors.BlnkAuthError)


OUR_ERRORS = frozenset(each.__name__ for each in vars(errors).values() if _is_ours(each))

MOST_LINES = 400
MOST_MEMBERS = 20


def wrong(check: Callable[[str, ast.Module], Sized]) -> dict[str, Sized]:
    """What a check finds in each module in which it finds something."""
    return {module: found for module, tree in trees().items() if (found := check(module, tree))}


# --- words -----------------------------------------------------------------------------------------------------------

AVOIDED = frozenset(
    "anew bridge bridged bridges curable cure cured cures die died dies dress dressed dying engine engines envelope "
    "envelopes flow flows goes going gone guard guards held hidden inventory keeping keepings lain lay lie lies luck "
    "lying outcome outcomes passage passages person persons said say saying says sibling siblings stand standing "
    "stands step steps stood stranger strangers tell telling tells texts told turn uncured went whoever wire".split()
)
"""Words that mean nothing to a newcomer; `test_words.py` has a plain one for each. A flow is a grant (RFC 6749 1.3)."""

AVOIDED_TERMS = re.compile(
    "_(?:api_server|app_id|auth_server|auth_style|auth_url|client_cert_auth|consumer|early_expiry|error_header|idp|"
    "oauth_server|offline_token|on_behalf_of|par_url|pkce_secret|poll_delay|pop_token|reauth|reconnect|renewal_key|"
    "secure_token|swap|token_placement|token_url|ttl)_"
)
"""Names that other libraries have for what the RFCs call otherwise, and that mean nothing else here."""

ALLOWED = {
    "engine": "SQLAlchemy's word for what a SQLStore is made of",
    "flow": "the request flow, and the auth flow of httpx, which calls `sync_auth_flow` and `async_auth_flow`",
    "hidden": "click's word for an option that is not listed",
    "outcome_unknown": "the public field of TemporarilyUnavailable",
    "step_up": "the word of RFC 9470 for asking for a stronger sign-in",
}
"""Identifiers, or parts of one, that may have such a word, each with the reason."""

WHERE_ALLOWED = {
    "engine": ("stores._sql", "_pickles"),
    "flow": ("_request", "auth", "httpx", "requests"),
    "hidden": ("cli",),
    "outcome_unknown": ("",),
    "step_up": ("",),
}
"""In which modules, by the beginning of their names."""


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name that a module defines: classes, functions, parameters, variables, attributes, and renamed imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def snake_case(identifier: str) -> str:
    """An identifier in snake case between two underscores, in which each part of it is between two as well."""
    return f"_{re.sub('(?<=[a-z0-9])(?=[A-Z])', '_', identifier).lower()}_"


def avoided_words(module: str, tree: ast.AST) -> set[str]:
    """The identifiers of a module, its own name among them, with an avoided word or term that is not allowed there."""
    parts = [part for part in module.split(".") if part != "__init__"]
    found: set[str] = set()
    for identifier in {*identifiers(tree), *parts}:
        plain = identifier
        for allowed, homes in WHERE_ALLOWED.items():
            if module.startswith(homes):
                plain = re.sub(allowed, "", plain, flags=re.IGNORECASE)
        if words(plain) & AVOIDED or AVOIDED_TERMS.search(snake_case(identifier)):
            found.add(identifier)
    return found


def test_no_identifier_has_an_avoided_word() -> None:
    """A reader finds things by the words of the field, so names use these."""
    assert wrong(avoided_words) == {}


def test_every_exception_is_used_and_has_a_reason() -> None:
    """An exception that nothing needs any more is removed."""
    assert ALLOWED.keys() == WHERE_ALLOWED.keys()
    everything = " ".join(path.read_text("utf-8") for path in MODULES.values())
    assert [allowed for allowed in ALLOWED if allowed not in everything] == []


def test_the_words_of_an_identifier_are_found() -> None:
    """In snake case, in camel case, beside abbreviations; and a word within another word does not count."""
    assert words("_HeldLock") == {"held", "lock"}
    assert words("told_at") == {"told", "at"}
    assert words("HTTPWire2") == {"http", "wire"}
    assert AVOIDED_TERMS.search(snake_case("OldTokenUrl"))
    assert not AVOIDED_TERMS.search(snake_case("token_urls"))
    assert not words("guardian stepping wired personal lifetime") & AVOIDED


# --- errors carry data -----------------------------------------------------------------------------------------------


OF_OTHERS = {"stores._redis_server": "Redis names an error in the first word of its text, and redis-py in no field"}
"""Modules that take errors of other libraries apart, each with the reason."""


def test_no_error_is_taken_apart() -> None:
    """What a program needs to know about an error of the package is a field, so that a message can be reworded."""
    assert wrong(lambda _, tree: places_that_take_errors_apart(tree)).keys() == OF_OTHERS.keys()


@pytest.mark.parametrize(
    "code",
    [
        "if 'expired' in str(error): pass",
        "str(error) == 'x'",
        "problem = str(error).partition('; ')[0]",
        "error.args[0].split(';')",
        "re.search('x', str(failure))",
        "PATTERN.match(refusal.args[0])",
        "error.problem.startswith('x')",
        "if self.error.message == 'x': pass",
        "'x' in (caught.value.remedy or '')",
        "'x' in str(caught.value.remedy)",
        "try: pass\nexcept Exception as e: 'x' in str(e)",
        "text = str(error)\nif 'x' in text: pass",
        "'x' in f'{error}'",
    ],
)
def test_taking_an_error_apart_is_seen(code: str) -> None:
    """In each of the ways that were once in use."""
    assert len(places_that_take_errors_apart(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "error.error == 'invalid_grant'",
        "error.reason in ('missing', 'expired')",
        "log(str(error))",
        "' '.join(str(error).split())",
        "def f(): text = str(error)\ndef g(text): return 'x' in text",
        "node.args == 1",
        "remedy = None if error.remedy is None else error.remedy",
    ],
)
def test_using_an_errors_fields_is_fine(code: str) -> None:
    """And so is showing its text."""
    assert places_that_take_errors_apart(ast.parse(code)) == []


# --- errors are not changed ------------------------------------------------------------------------------------------


def changed_errors(tree: ast.AST) -> list[str]:
    """Each assignment to an attribute of an error, except those that its own class makes to `self`."""
    names = {name for node in ast.walk(tree) for name in _names_of_errors(node)} - {""}
    targets = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    assigned = [ast.unparse(each) for each in targets if is_error(each.value) or _name_of(each.value) in names]
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name_of(node.func) == "setattr")
    set_by_name = [each for each in calls if is_error(each.args[0]) or _name_of(each.args[0]) in names]
    return assigned + [ast.unparse(each) for each in set_by_name]


def _names_of_errors(node: ast.AST) -> Iterator[str]:
    """The names that a node binds to an error: caught, annotated as one, or made by calling a class of errors."""
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.arg) and node.annotation is not None and _is_error_type(node.annotation):
        yield node.arg
    elif isinstance(node, ast.AnnAssign) and _is_error_type(node.annotation):
        yield _name_of(node.target)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_error_type(node.value.func):
        yield from (_name_of(target) for target in node.targets)


def _is_error_type(node: ast.AST) -> bool:
    names = (_name_of(each) for each in ast.walk(node))
    return any(name.endswith(("Error", "Exception")) or name in OUR_ERRORS for name in names)


def _name_of(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def test_no_error_is_changed_after_it_was_made() -> None:
    """Several waiters may get one error, so a changed copy is made instead (`BlnkAuthError.replace`)."""
    assert wrong(lambda _, tree: changed_errors(tree)) == {}


@pytest.mark.parametrize(
    "code",
    [
        "error.subject = 'x'",
        "try: pass\nexcept ValueError as found: found.note = 1",
        "def f(caught: BlnkAuthError | None): caught.remedy += 'x'",
        "made = StoreError('x')\nmade.key = 'x'",
        "made: SignInRequired = f()\nmade.scope = 'x'",
        "setattr(failure, 'x', 1)",
    ],
)
def test_changing_an_error_is_seen(code: str) -> None:
    """In each of the ways in which a name may be an error's."""
    assert len(changed_errors(ast.parse(code))) == 1


def test_making_an_error_is_fine() -> None:
    """Its class sets what it has; a copy is made with changes; other objects may be changed."""
    assert changed_errors(ast.parse("self.error = error\nlost = error.replace(key='x')\nstate.errors = []")) == []


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_a_module_is_short() -> None:
    """At most 400 lines, so that one idea fits."""
    lengths = {module: len(path.read_text("utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > MOST_LINES} == {}


def classes(tree: ast.AST) -> Iterator[ast.ClassDef]:
    """Every class of a module, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def public_members(node: ast.ClassDef) -> set[str]:
    """The names that a class itself defines without an underscore: methods, and attributes, also those of `self`."""
    found: set[str] = set()
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(each.name)
            found |= {
                inner.attr
                for inner in ast.walk(each)
                if isinstance(inner, ast.Attribute)
                and isinstance(inner.ctx, ast.Store)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == "self"
            }
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found.add(each.target.id)
        elif isinstance(each, ast.Assign):
            found |= {target.id for target in each.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def methods(node: ast.ClassDef) -> set[str]:
    """The names of its functions."""
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def counted_members(node: ast.ClassDef) -> set[str]:
    """The public members that a class itself has, without the fields of a record and the tests of a suite.

    What it inherits does not count: a base class is read, and counted, by itself.
    """
    members = public_members(node)
    if node.name in RECORDS:
        return members & methods(node)
    if node.name in SUITES:
        return {each for each in members if not each.startswith("test_")}
    return members


RECORDS = {
    "Provider": "one field for each setting of a provider",
    "ProviderSettings": "one key for each setting of a provider",
}
"""Classes with a field for each of many values, each with what they are. Their methods count as in any class."""

SUITES = {"StoreContract": "each method whose name begins with test_ is a test, which pytest finds in the class"}
"""Classes whose tests do not count, with the reason. Their other members do."""


def too_large(module: str, tree: ast.AST) -> dict[str, int]:
    """The classes of a module that have too many public members, with their number."""
    sizes = {node.name: len(counted_members(node)) for node in classes(tree)}
    return {name: size for name, size in sizes.items() if size > MOST_MEMBERS}


def test_a_class_has_one_job() -> None:
    """At most 20 public members."""
    assert wrong(too_large) == {}


def test_every_exception_to_the_size_is_needed() -> None:
    """It names one class of the package, which is too large without it."""
    found = [node for tree in trees().values() for node in classes(tree) if node.name in {*RECORDS, *SUITES}]
    assert sorted(node.name for node in found) == sorted([*RECORDS, *SUITES])
    assert [node.name for node in found if len(public_members(node)) <= MOST_MEMBERS] == []


def test_what_counts_in_a_class() -> None:
    """All public members; the methods alone of a record; all but the tests of a suite."""
    body = "    value: int\n    def store(self): self.kept = 1\n    def test_it(self): pass\n    def _own(self): pass\n"

    def counted(name: str) -> set[str]:
        return counted_members(next(classes(ast.parse(f"class {name}:\n{body}"))))

    assert counted("Anything") == {"value", "store", "kept", "test_it"}
    assert counted("Provider") == {"store", "test_it"}
    assert counted("StoreContract") == {"value", "store", "kept"}


SIGN_INS = {"AuthorizationStart", "AuthorizationFinish", "DeviceSignIn", "InteractiveSignIn", "OneTimeExchange"}


def test_the_sign_ins_are_classes_of_one_shape() -> None:
    """Each is made with all that it needs, and then run by `run` or `arun`, which take nothing."""
    classes = [
        each
        for module, tree in trees().items()
        if module.startswith("_sign_in.")
        for each in tree.body
        if isinstance(each, ast.ClassDef)
    ]
    taken = {
        (cls.name, each.name): ast.unparse(each.args)
        for cls in classes
        for each in cls.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name in ("run", "arun")
    }
    assert taken == dict.fromkeys(((name, method) for name in SIGN_INS for method in ("run", "arun")), "self")


# --- documentation ---------------------------------------------------------------------------------------------------


def missing_from_head(documentation: str) -> list[str]:
    """What the first lines of a module leave out: who uses it, what it promises, what it never does.

    They have the words "used by" (or for, where, when) and "never", or "pure", which is a promise of its own.
    """
    head = " ".join(documentation.split())
    wanted = {
        "who uses it": re.search(r"\b[Uu]sed (\w+ )?(by|for|where|wherever|when|in|to|around)\b", head),
        "what it never does": re.search(r"\b([Nn]ever|[Pp]ure)\b", head),
        "what it promises": len(re.findall(r"[.!?:](?:\s|$)", head)) >= 3,
    }
    return [what for what, found in wanted.items() if not found]


def test_a_module_begins_with_what_it_promises() -> None:
    """Who uses it, what it promises, what it never does."""
    assert wrong(lambda _, tree: missing_from_head(ast.get_docstring(tree) or "")) == {}


def test_what_a_head_leaves_out_is_seen() -> None:
    """Each of the three."""
    assert missing_from_head("Reads files. Used by the stores. Never writes one.") == []
    assert missing_from_head("Reads files.") == ["who uses it", "what it never does", "what it promises"]
    assert missing_from_head("Reads files. Used where one is needed. Writes none.") == ["what it never does"]
