"""Errors about the packages that an extra installs.

Used where such a package is imported, and by the modules that list public names or name such a package in their
annotations. A package that is missing and one that is installed but broken are two different errors, since installing a
broken one again may not help. A module that cannot be imported raises `ImportError`, as everywhere in Python; an object
that cannot be made raises `ConfigurationError`. This file never imports such a package itself.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from . import ConfigurationError


def import_failure(
    needed_by: str, package: str, extra: str, error: Exception, *, oldest: str | None = None
) -> ImportError:
    """The error to raise where a module needs the optional `package` and cannot import it.

    Args:
        needed_by: What needs the package, as the caller knows it: `Httpx2Auth`.
        package: The package as it is imported: `httpx2`.
        extra: The extra of this library that installs it: `httpx2`.
        error: What the import raised. It is quoted where the package is installed and broken.
        oldest: The oldest version that has what is imported, such as `3.12`. None: any version has it.
    """
    problem, remedy = _too_old(needed_by, package, extra, oldest) or _described(needed_by, package, extra, error)
    return ImportError(f"{problem}; {remedy}", name=getattr(error, "name", None))


@contextmanager
def needs_extra(extra: str, package: str, *, needed_by: str) -> Generator[None]:
    """Report an import that fails inside the context, with any exception.

    Args:
        extra: As for `import_failure`.
        package: As for `import_failure`.
        needed_by: As for `import_failure`.

    Raises:
        ConfigurationError: The package is missing; or it is installed and broken, and its own error is chained.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything when it is imported
        problem, remedy = _described(needed_by, package, extra, error)
        raise ConfigurationError(problem, remedy=remedy) from (None if _is_missing(package) else error)


def _described(needed_by: str, package: str, extra: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, ImportError) and _is_missing(package):
        return f"{needed_by} needs the package {package}, which is not installed", f"pip install 'blnk-auth[{extra}]'"
    return (
        f"{needed_by} needs the package {package}, which is installed but cannot be imported ({error})",
        f"see the output of python -c 'import {package}'",
    )


def _too_old(needed_by: str, package: str, extra: str, oldest: str | None) -> tuple[str, str] | None:
    """What is wrong and what to do, if the installed version is older than `oldest`; else None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = None if oldest is None else version(package)
    except PackageNotFoundError:
        return None
    if oldest is None or installed is None or _numbers(installed) >= _numbers(oldest):
        return None
    return (
        f"{needed_by} needs {package} {oldest} or newer, and {installed} is installed",
        f"pip install --upgrade 'blnk-auth[{extra}]'",
    )


def _numbers(version: str) -> list[int]:
    """The numbers at the beginning of a version, to compare it."""
    parts = version.split(".")
    return [int(part) for part in parts[: next((i for i, p in enumerate(parts) if not p.isdecimal()), len(parts))]]


def _is_missing(package: str) -> bool:
    # Imported for such an error only: every auth class imports this module.
    from importlib.util import find_spec

    try:
        return find_spec(package) is None
    except (ImportError, ValueError):
        return True


class NamedInAnnotations:
    """Takes the place, at run time, of a module that a file names in its annotations only.

    `typing.get_type_hints` evaluates annotations in the namespace of their module, so a name that is imported for type
    checkers alone raises `NameError` there. The module is imported when one of its types is asked for, and not
    before, so no import takes longer.

    Args:
        module: The module by its full name: `sqlalchemy`.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name)


class _Unavailable(type):
    """The type of the classes that `unavailable` makes."""

    reason: ImportError

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> None:
        super().__init__(name, bases, members)
        if bases:
            cls._raise()

    def _raise(cls) -> NoReturn:
        # Another instance each time: one that is raised twice collects the tracebacks of both.
        raise ImportError(str(cls.reason), name=cls.reason.name)

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        cls._raise()

    def __getattr__(cls, name: str) -> NoReturn:
        # This type, because `inspect` and `pydoc` ask for attributes that a class need not have.
        raise AttributeError(str(cls.reason), name=name, obj=cls)


def public_name(name: str, package: str, homes: Mapping[str, str]) -> Any:
    """What the `__getattr__` of a package returns: a public name, whose module is imported when it is first used.

    Args:
        name: What is asked for.
        package: The package, by its full name.
        homes: The module of each public name, relative to the package.

    Returns:
        The value; or, where the package that it needs is missing or broken, a class that raises when it is used. A
        star import, which only lists the names, must work without the package.

    Raises:
        AttributeError: It is not a public name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{homes[name]}", package), name)
    except Exception as error:  # noqa: BLE001 - a package that is broken may raise anything
        failure = error if isinstance(error, ImportError) else ImportError(f"{type(error).__name__}: {error}")
        return unavailable(name, package, failure)
    # From now on Python finds it in the package and does not call this function.
    vars(sys.modules[package])[name] = value
    return value


def unavailable(name: str, module: str, error: ImportError) -> type:
    """A class that takes the place of the public `name` of `module`, whose extra is not installed or is broken.

    Listing the module's names, a star import and `help` work without the extra. Calling the name or making a subclass
    of it raises `error` again, which names the extra; reading one of its attributes raises an `AttributeError` that
    does.
    """
    members = {"__doc__": str(error), "__module__": module, "reason": error.with_traceback(None)}
    return _Unavailable(name, (), members)
