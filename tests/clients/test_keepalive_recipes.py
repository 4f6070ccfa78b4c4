"""The recipes that keep many grants alive, with real schedulers, by the books of the authorization server.

Each recipe is taken from its page: 4 workers, 10,000 grants, 2,000 of them due. First nothing fails. Then workers are
killed with SIGKILL while they renew, at chosen moments, and started again.
"""

from __future__ import annotations

import itertools
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from docs.test_readme import HOW_TO, Block, python_blocks
from sqlalchemy import make_url
from support.fleet import Workers, fill, subject, working, write_profile
from support.fleet_server import MOMENTS, Books, FleetServer, refresh_token, serving_fleet
from support.providers import DAY
from support.server_processes import RedisServer
from support.shared_servers import fresh_database

from blnk_auth import OAuthClient, Token
from blnk_auth.stores import SQLStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the test finds the process of a connection in /proc")

PAGE = HOW_TO / "keep-many-grants-alive.md"
RECIPE_BLOCKS = [block for block in python_blocks(PAGE.read_text("utf-8")) if block.file is not None]
GRANTS, DUE = range(10_000), range(0, 10_000, 5)
YOUNG = [number for number in GRANTS if number not in DUE]
MOST_LINES = 25
"""Of one recipe: a reader sees it at a glance."""

TIME_LIMIT = 450.0
"""Seconds. Only a hang uses them up: see support.limits."""

FIND_EVERY = 15.0
"""Seconds, where the recipes have minutes."""


@dataclass
class World:
    """A fleet, its server, and the workers of one recipe."""

    recipe: Recipe
    server: FleetServer
    workers: Workers
    client: OAuthClient

    def work_off(self) -> Books:
        """Have the workers find and renew what is due, until nothing is; return the books."""
        self.recipe.start(self.workers)
        until, found_at = time.monotonic() + TIME_LIMIT, -FIND_EVERY
        while any(self.client.due(time.time() + 7 * DAY, limit=1)):
            assert time.monotonic() < until, self.workers.log[-3000:]
            self.workers.restart_the_killed()
            if time.monotonic() - found_at > FIND_EVERY:
                self.recipe.find(self.workers)
                found_at = time.monotonic()
            time.sleep(0.2)
        return self.server.books

    def stored(self, number: int) -> str | None:
        """The refresh token of a grant in the store."""
        record = self.client.store.load(self.client.for_subject(subject(number)).store_key)
        assert record is not None
        return Token.from_dict(record.data["token"]).refresh_token


@dataclass
class Recipe:
    """One recipe of the page.

    Attributes:
        package: What it needs beside blnk_auth.
        module: The module that the page has.
        start: Starts its four workers.
        find: Does what its schedule does: finds what is due, and has the workers renew it.
    """

    package: str
    module: str
    start: Callable[[Workers], None]
    find: Callable[[Workers], None]


def command_of_the_page() -> list[str]:
    """What systemd runs, and cron too."""
    page = PAGE.read_text("utf-8")
    [line] = re.findall(r"^ExecStart=(.*)$", page, re.MULTILINE)
    assert f"* {line}`" in page
    program, *arguments = shlex.split(line)
    assert Path(program).name == "blnk-auth"
    return ["blnk_auth", *arguments]


def run_on_four_hosts(workers: Workers) -> None:
    """The same line at the same minute, unless the last run has not ended."""
    if workers.are_done:
        for _ in range(4):
            workers.start(*command_of_the_page())


def start_procrastinate(workers: Workers) -> None:
    app = "--app=keepalive_jobs.app"
    workers.run("procrastinate", app, "schema", "--apply")
    for _ in range(4):
        workers.start("procrastinate", app, "worker", "--delete-jobs=successful")


def find_by_procrastinate(workers: Workers) -> None:
    job = ("--ignore-already-enqueued", "keepalive_jobs.find", '{"timestamp": 0}')
    workers.run("procrastinate", "--app=keepalive_jobs.app", "defer", *job)


def start_celery(workers: Workers) -> None:
    workers.start("celery", "--app=keepalive_tasks", "worker", "--concurrency=4")


def find_by_celery(workers: Workers) -> None:
    workers.run("celery", "--app=keepalive_tasks", "call", "keepalive_tasks.find")


RECIPES = {
    "cron": Recipe("blnk_auth", "", lambda _: None, run_on_four_hosts),
    "procrastinate": Recipe("procrastinate", "keepalive_jobs", start_procrastinate, find_by_procrastinate),
    "celery": Recipe("celery", "keepalive_tasks", start_celery, find_by_celery),
}


@pytest.fixture(params=RECIPES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Nothing in the store yet, and no worker."""
    recipe = RECIPES[request.param]
    pytest.importorskip(recipe.package)
    with ExitStack() as stack:
        variables: dict[str, str] = {}
        store = f"sqlite:///{tmp_path}/tokens.db"
        if request.param == "procrastinate":
            store = stack.enter_context(fresh_database(request.getfixturevalue("postgres_url")))
            plain = make_url(store).set(drivername="postgresql")
            variables["DATABASE_URL"] = plain.render_as_string(hide_password=False)
        elif request.param == "celery":
            store = variables["REDIS_URL"] = stack.enter_context(RedisServer()).url
        workers = stack.enter_context(working(tmp_path, BLNK_AUTH_CONFIG=str(tmp_path / "config.toml"), **variables))
        server = stack.enter_context(serving_fleet(workers.process_of))
        file = write_profile(tmp_path, server, store)
        for block in RECIPE_BLOCKS:
            (tmp_path / str(block.file)).write_text(block.source)
        client = stack.enter_context(OAuthClient.from_config("acme", file))
        stack.callback(client.store.close)
        if isinstance(client.store, SQLStore):
            client.store.create_schema()
        yield World(recipe, server, workers, client)


def test_each_due_grant_is_renewed_once(world: World) -> None:
    """No matter how many workers run and how often they look: 2,000 renewals, no reuse, and nothing else is touched."""
    fill(world.client, YOUNG, idle=1 * DAY)
    fill(world.client, DUE, idle=25 * DAY)
    books = world.work_off()
    assert books.generations == dict.fromkeys(DUE, 1)
    assert not books.reuses
    assert all(world.stored(number) == refresh_token(number, 1) for number in DUE)


def test_a_kill_costs_at_most_the_grant_that_was_being_renewed(world: World) -> None:
    """At a server with a grace period none; at another one, at most one for each kill, which is reported as ended."""
    fill(world.client, YOUNG, idle=1 * DAY)
    fill(world.client, DUE, idle=25 * DAY)
    server, chosen = world.server, list(DUE[100:1900:150])
    server.moments = dict(zip(chosen, itertools.cycle(MOMENTS), strict=False))
    server.books.with_grace = frozenset(DUE[: len(DUE) // 2])
    before = [number for number, moment in server.moments.items() if moment == "before"]
    books = world.work_off()
    assert sorted(books.killed) == chosen
    # Every loss is a grant without a grace period whose worker was killed once its token had been rotated.
    assert books.ended <= set(chosen) - books.with_grace - set(before)
    assert books.reuses == dict.fromkeys(books.ended, 1)
    assert books.ended, "the kills have tested nothing"
    assert set(books.repeated) <= set(chosen) & books.with_grace
    assert books.generations == dict.fromkeys(DUE, 1)
    assert all(world.stored(number) == refresh_token(number, 1) for number in DUE if number not in books.ended)
    for number in books.ended:
        assert world.client.for_subject(subject(number)).state == "sign_in_required"
        # A keepalive run that is killed prints no report. Jobs report each user when it happens.
        assert f"{subject(number)} must sign in again" in world.workers.log or world.recipe.module == ""


@pytest.mark.parametrize("block", RECIPE_BLOCKS, ids=lambda block: str(block.file))
def test_a_recipe_is_short(block: Block) -> None:
    """So that a reader sees all of it."""
    assert len(list(filter(str.strip, block.source.splitlines()))) <= MOST_LINES
