"""Errors about the packages that an extra installs.

Used where such a package is imported, and by the modules that list public names. What is missing and what is installed
but broken are two different errors.
"""

from __future__ import annotations

from typing import Any, NoReturn


def import_failure(user: str, package: str, extra: str, error: ImportError) -> ImportError:
    """The error to raise where the optional `package` cannot be imported.

    Args:
        user: What needs the package, as the caller knows it: `RedisStore`.
        package: The package as it is imported: `redis`.
        extra: The extra of this library that installs it: `redis`.
        error: What the import raised. It decides whether the package is missing, or is installed and broken, which
            installing it again may not resolve.
    """
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        problem = f"which is not installed: pip install 'blnk-auth[{extra}]'"
    else:
        problem = f"which is installed but cannot be imported ({error}): see the output of python -c 'import {package}'"
    return ImportError(f"{user} needs the package {package}, {problem}", name=error.name)


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


def unavailable(name: str, module: str, error: ImportError) -> type:
    """A class to stand for the public `name` of `module`, whose extra is not installed or is broken.

    Listing the module's names, a star import and `help` work without the extra. Calling the name or making a subclass
    of it raises `error` again, which names the extra; reading one of its attributes raises an `AttributeError` that
    does.
    """
    members = {"__doc__": str(error), "__module__": module, "reason": error.with_traceback(None)}
    return _Unavailable(name, (), members)
