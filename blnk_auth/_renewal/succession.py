"""What a renewed token keeps of the token before it.

Used by `token_endpoint`. It promises that nothing is lost because a response leaves it out, and that what is kept stays
bounded. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..token import MOST_EXTRA, Token, json_size


def succeed(new: Token, old: Token | None, *, slides: bool = False) -> Token:
    """A new token with all that its response left unsaid: absent means unchanged (RFC 6749 sections 5.1 and 6).

    The expiry of a refresh token that stays is also unchanged, whether the response repeats the token or not. Where
    each use extends it (`slides`), it becomes unknown: the old expiry would end a grant that is still valid.
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
    """What a renewed token keeps of unknown members: all of `new`, and of `old` what has no successor and still fits.

    The oldest are kept first, since a server that invents a name for each response adds the latest ones. The second
    value has a note if something did not fit.
    """
    if not old:
        return new, ()
    left = MOST_EXTRA - sum(json_size(name, value) or 0 for name, value in new.items())
    kept: dict[str, Any] = {}
    for name, value in old.items():
        if name in new:
            kept[name] = new[name]
            continue
        size = json_size(name, value)
        if size is not None and size <= left:
            kept[name] = value
            left -= size
    merged = MappingProxyType({**kept, **new})
    dropped = len({*old, *new}) - len(merged)
    return merged, (f"extra is full; {dropped} earlier members were dropped",) if dropped else ()
