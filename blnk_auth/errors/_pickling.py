"""How values are pickled: by public names, so that pickles stay readable when a module is moved.

Used by the classes that users pickle. It promises that a pickle never names a private module. The stores open
themselves again instead (`stores/_store_handle.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ForwardRef, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

PICKLED = {"pickled": True}
"""The metadata of a dataclass field that no argument sets, but that a pickle contains."""


def pickled_by_name(cls: type[Value]) -> type[Value]:
    """A class decorator: a frozen dataclass is copied and pickled as its constructor's arguments, by name.

    So another version may add fields and reorder them. An argument that is its field's default is left out, since
    some defaults are private functions, and a pickle names public paths only. The constructor checks the arguments of
    an unpickled value as usual.
    """
    fields: list[Any] = [*vars(cls)["__dataclass_fields__"].values()]

    def arguments(self: Any) -> dict[str, Any]:
        given = ((each, getattr(self, each.name)) for each in fields if each.init or "pickled" in each.metadata)
        return {each.name: value for each, value in given if value is not each.default}

    @unpickles
    def take_arguments(self: Any, state: dict[str, Any] | list[Any]) -> None:
        if isinstance(state, list):
            from .._pickles import fields_of

            state = fields_of(cls.__name__, state)
        state = dict(state)
        further = {each.name: state.pop(each.name) for each in fields if not each.init and each.name in state}
        self.__init__(**state)
        for name, value in further.items():
            object.__setattr__(self, name, value)

    # The decorator `dataclass` has given a frozen class its own, which list the values in the order of the fields.
    for name, method in (("__getstate__", arguments), ("__setstate__", take_arguments)):
        setattr(cls, name, method)
    return cls


def unpickles(read: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """A decorator: a function that pickle calls raises `pickle.UnpicklingError` if the pickle is damaged.

    Errors of this library pass as they are. The error quotes nothing of the pickle, which may hold secrets.
    """

    @functools.wraps(read)
    def read_or_raise(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        import pickle

        from . import BlnkAuthError

        try:
            return read(*args, **kwargs)
        except BlnkAuthError:
            raise
        except Exception as error:  # noqa: BLE001 - what is damaged may raise anything
            failure = pickle.UnpicklingError(f"the pickle is damaged ({type(error).__name__})")
        raise failure

    return read_or_raise


def public(definition: Value) -> Value:
    """A decorator: pickles, reprs and `help` name a class or function by its public home.

    Its home is the innermost package that is public: `blnk_auth.stores` for what `blnk_auth/stores/_file.py` defines,
    and `blnk_auth` for what `blnk_auth/_sign_in/device.py` does. The home must list the name.
    """
    inner = definition.__module__.removeprefix(_PACKAGE)
    return _at_home(definition, _PACKAGE + inner.partition("._")[0])


def public_in(module: str) -> Callable[[Value], Value]:
    """A decorator like `public`, for what is at home in a module of its own: `provider` for `blnk_auth.provider`."""
    return lambda definition: _at_home(definition, f"{_PACKAGE}.{module}")


_PACKAGE = __name__.rsplit(".", 2)[0]


def _at_home(definition: Value, home: str) -> Value:
    if isinstance(definition, type):
        # `get_type_hints` looks a name up in the home of its class, unless it is a reference that names its module.
        hints, module = vars(definition).get("__annotations__", {}), definition.__module__
        for name, hint in hints.items():
            text = hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
            if isinstance(text, str):
                hints[name] = ForwardRef(text, is_argument=False, module=module, is_class=True)
    definition.__module__ = home
    return definition
