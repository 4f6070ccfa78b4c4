"""Importing what an optional extra installs, when it is first needed.

Used where a class of this package needs a package that a plain install does not have. Every module of `stores` can be
imported without any extra. A package that is missing and one that is installed but broken are two different errors.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec

from ..errors import ConfigurationError


@contextmanager
def needs_extra(extra: str, package: str, *, needed_by: str) -> Generator[None]:
    """Report an import that fails inside the context.

    `extra`: the extra's name, as in `pip install 'blnk-auth[redis]'`. `package`: the top-level module it installs.
    `needed_by`: the public name that needs it.
    Raises `ConfigurationError`: the extra is missing; or it is there and raises an error of its own on import, which is
    quoted and chained.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and _is_missing(package):
            raise ConfigurationError(
                f"{needed_by} needs the package {package}, which is not installed",
                remedy=f"pip install 'blnk-auth[{extra}]'",
            ) from None
        raise _broken(extra, package, needed_by, error) from error
    except Exception as error:
        raise _broken(extra, package, needed_by, error) from error


def _is_missing(package: str) -> bool:
    try:
        return find_spec(package) is None
    except (ImportError, ValueError):
        return True


def _broken(extra: str, package: str, needed_by: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{needed_by} needs the package {package}, which is installed and cannot be imported: "
        f"{type(error).__name__}: {error}",
        remedy=f"repair its installation: pip install --force-reinstall 'blnk-auth[{extra}]'",
    )
