"""What a renewed token keeps of the token before it.

Used by `token_endpoint`. It promises that a member that a response leaves out keeps its old value, and that the size of
what is kept is bounded. It never reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors._json_size import json_size
from ..token import MOST_EXTRA, Token


def succeed(new: Token, old: Token | None, *, slides: bool = False) -> Token:
    """The new token, completed from the old one: what is absent is unchanged (RFC 6749 sections 5.1 and 6).

    If the refresh token stays the same, its expiry stays too, whether the response repeats the token or not. But if
    each use extends its life (`slides`), its expiry becomes unknown: the old one would end a grant that is still valid.
    """
    if old is None:
        return new
    stays = new.refresh_token is None or new.refresh_token == old.refresh_token
    return new.replace(
        refresh_token=new.refresh_token or old.refresh_token,
        refresh_expires_at=new.refresh_expires_at or (old.refresh_expires_at if stays and not slides else None),
        scope=new.scope or old.scope,
        extra=merge_extra(old.extra, new.extra)[0],
    )


def merge_extra(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The unknown members of a renewed token: all of `new`, and those of `old` that `new` does not have, if they fit.

    The oldest members have precedence: a server that invents a new name for each response must not push them out.
    The second value is a note, if something did not fit.
    """
    if not old:
        return new, ()
    left = MOST_EXTRA - sum(json_size({name: value}, most=MOST_EXTRA) or 0 for name, value in new.items())
    kept: dict[str, Any] = {}
    for name, value in old.items():
        if name in new:
            kept[name] = new[name]
            continue
        size = json_size({name: value}, most=MOST_EXTRA)
        if size is not None and size <= left:
            kept[name] = value
            left -= size
    merged = MappingProxyType({**kept, **new})
    dropped = len({*old, *new}) - len(merged)
    return merged, (f"extra is full; {dropped} earlier members were dropped",) if dropped else ()
