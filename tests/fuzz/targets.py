"""All fuzz targets, and what is tried for each: inputs of its own, those of its corpus, and changes of these.

Used by the tests of this directory and by `run.py`.
"""

from __future__ import annotations

from typing import Any

from fuzz import (
    migrations,
    parsers,
    pickles,
    presented,
    records,
    registrations,
    rejections,
    resources,
    responses,
    settings,
    sign_in,
    urls,
)
from fuzz.strategies import HOSTILE_TEXTS, URL_PIECES, mutated
from fuzz.target import Target
from hypothesis import strategies as st

TARGETS: tuple[Target, ...] = tuple(
    target
    for module in (
        *(
            responses,
            presented,
            registrations,
            rejections,
            resources,
            urls,
            sign_in,
            records,
            settings,
            pickles,
            migrations,
        ),
        parsers,
    )
    for target in module.TARGETS
)


def inputs(target: Target) -> st.SearchStrategy[Any]:
    """What is tried for a target: half of it from its own strategy."""
    seeds = target.corpus
    if not seeds:
        return target.inputs
    near = st.sampled_from(seeds).flatmap(lambda seed: mutated(seed, [*HOSTILE_TEXTS, *URL_PIECES], target.words))
    return target.inputs | near
