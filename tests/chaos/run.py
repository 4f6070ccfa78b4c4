"""Chaos: a run of processes, stores and a server in which everything fails that can fail.

    make chaos SEED=1 MINUTES=10

Used by `make chaos` and by `test_chaos`. It carries out the plan of a seed (`plan`), lets everything heal, has every
grant prove that it works, closes everything, and has the books read by `verdict`, which alone judges. The exit status
is 0 if nothing is left unexplained. On failure the directory with all logs is kept, and its path is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import json
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chaos import stores
from chaos.authorization_server import name_of
from chaos.plan import GRANTS, LEASE, STORES, WORKERS, Action, Plan, make_plan, store_of, subject_of
from chaos.processes import FaultLog, ServerProcess, WorkerProcess
from chaos.verdict import Verdict, judge
from support.server_processes import MariaDBServer, PostgresServer, RedisServer

from blnk_auth import EncryptedStore, OAuthClient, Provider, Token
from blnk_auth._renewal.store_keys import parse_token_key

PROGRESS_SECONDS = 15.0

SIGNS_IN_AFTER = 3.0
"""Seconds after which a user signs in again who has to."""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the run is watched by people


class Run:
    """One run. `excludes` False makes the workers' locks exclude nobody, which the verdict must notice."""

    def __init__(self, plan: Plan, directory: Path, *, excludes: bool = True) -> None:
        self.plan, self.directory = plan, directory
        self._excludes = excludes
        self._faults = FaultLog(directory / "faults.jsonl")
        self._breakable: dict[str, stores.Files | stores.Database] = {}
        self._workers: list[WorkerProcess] = []
        self._by_store = {name: ThreadPoolExecutor(1, f"faults of {name}") for name in STORES}
        self._breaking: list[Future[None]] = []
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._required: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._signed_in: dict[str, float] = {}

    def __call__(self) -> Verdict:
        with contextlib.ExitStack() as closing:
            self._set_up(closing)
            self._play()
            self._settle()
            self._prove()
            self._close_workers()
            self._audit()
        return judge(self.directory)

    # --- before --------------------------------------------------------------------------------------------------

    def _set_up(self, closing: contextlib.ExitStack) -> None:
        grace = [subject_of(number) for number, has in enumerate(self.plan.grace) if has]
        self._server = ServerProcess(self.directory, grace)
        closing.callback(self._server.close)
        self._settings = {"key": EncryptedStore.new_key(), "origin": self._server.origin, "excludes": self._excludes}
        for name in ("sqlite", "file", "sealed"):
            disk = self._breakable[name] = stores.Files(self.directory / name)
            closing.callback(disk.close)
            self._settings[name] = str(disk.directory / "tokens.db" if name == "sqlite" else disk.directory)
        kinds = {
            "redis": (RedisServer, stores.Redis),
            "postgres": (PostgresServer, stores.Postgres),
            "mariadb": (MariaDBServer, stores.MariaDB),
        }
        for name, (kind, breakable) in kinds.items():
            server = kind()
            closing.callback(server.__exit__)
            server.start()
            database = self._breakable[name] = breakable(server)
            self._settings[name] = getattr(database, "url", server.url)
        self._stores = {name: stores.open_store(name, self._settings) for name in STORES}
        for store in self._stores.values():
            closing.callback(getattr(store, "close", lambda: None))
            getattr(store, "create_schema", lambda: None)()
        self._seed_grants()
        for number in range(WORKERS):
            worker = WorkerProcess(
                number, self.directory, self._settings, self._faults, on_sign_in_required=self._required.put
            )
            closing.callback(worker.abandon)
            self._workers.append(worker)
        for worker in self._workers:
            worker.wait_until_ready()

    def _seed_grants(self) -> None:
        """Everyone signs in."""
        subjects = [subject_of(number) for number in range(GRANTS)]
        provider = Provider(
            name="chaos", token_endpoint=f"{self._server.origin}/none", api_origins=(self._server.origin,)
        )
        clients = {
            name: OAuthClient(provider, client_id="chaos", client_auth="none", store=store)
            for name, store in self._stores.items()
        }
        for subject, pair in zip(subjects, self._server.ask("issue", subjects=subjects), strict=True):
            clients[store_of(subject)].for_subject(subject).adopt(Token.from_response(pair, now=time.time()))

    # --- the chaos -----------------------------------------------------------------------------------------------

    def _play(self) -> None:
        started = time.monotonic()
        self._faults("began")
        for action in self.plan.actions:
            self._at(started + action.at, lambda action=action: self._act(action))
        for report in range(1, int(self.plan.seconds / PROGRESS_SECONDS)):
            self._at(started + report * PROGRESS_SECONDS, lambda: self._report(time.monotonic() - started))
        while self._later and self._later[0][0] < started + self.plan.seconds:
            due, _, act = heapq.heappop(self._later)
            self._have_users_sign_in()
            while (now := time.monotonic()) < due:
                time.sleep(due - now)
            act()

    def _have_users_sign_in(self) -> None:
        """A user whose call raised `SignInRequired` signs in again: once, however many of the calls did."""
        with contextlib.suppress(queue.Empty):
            while True:
                subject, now = self._required.get_nowait(), time.monotonic()
                if self._signed_in.get(subject, 0.0) < now - 2 * SIGNS_IN_AFTER:
                    self._signed_in[subject] = now
                    worker = self._workers[int(subject[-4:]) % WORKERS]
                    self._at(now + SIGNS_IN_AFTER, lambda s=subject, w=worker: w.send("sign in", subject=s, how="code"))

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (when, next(self._order), act))

    def _report(self, seconds: float) -> None:
        def total(what: str) -> int:
            return sum(worker.seen[what] for worker in self._workers)

        say(
            f"  {seconds:5.0f} s of {self.plan.seconds:g}: {total('calls')} calls answered, {total('failed calls')} "
            f"failed, {total('not begun')} not begun; {total('save')} saves; processes {total('ready')}"
        )

    def _act(self, action: Action) -> None:
        what, details = action.what, action.details
        worker = self._workers[details["worker"]] if "worker" in details else None
        if what in ("token fault", "api fault"):
            self._server.ask("fault", on=what.split()[0], **details)
        elif what in ("outage", "revoke access tokens", "revoke grant"):
            self._server.ask(what, **details)
            self._faults(what, **details)
        elif what == "store fault":
            self._break(**details)
        elif worker is None:
            raise ValueError(f"unknown action {what!r}")
        elif what == "kill":
            worker.kill()
        elif what == "stop":
            worker.stop()
            self._at(time.monotonic() + details["seconds"], worker.resume)
        else:
            if what == "clock":
                self._faults(what, **details)
            worker.send(what, **{name: value for name, value in details.items() if name != "worker"})

    def _break(self, store: str, kind: str, seconds: float) -> None:
        """On a thread of that store's own: it may take a while, and healing comes after it."""

        def break_() -> None:
            self._faults("store breaks", store=store, kind=kind)
            with contextlib.suppress(Exception):
                # A server that has just been killed may not take the command; then there is no fault.
                self._breakable[store].break_(kind)

        self._breaking.append(self._by_store[store].submit(break_))
        self._at(time.monotonic() + seconds, lambda: self._heal(store))

    def _heal(self, store: str) -> None:
        def heal() -> None:
            self._breakable[store].heal()
            self._faults("store healed", store=store)

        self._breaking.append(self._by_store[store].submit(heal))

    # --- after ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Everything heals; what is under way ends."""
        say("  healing, and waiting for what is under way")
        self._server.ask("heal")
        for store in STORES:
            self._heal(store)
        for breaking in self._breaking:
            breaking.result()
        # The server resumes by itself whom it has stopped, but nobody need wait for that.
        for worker in self._workers:
            worker.resume()
        self._faults("healed")
        for worker in self._workers:
            self._insist(worker, "settle", "settled")
            worker.send("clock", offset=0.0)
        # The leases of killed processes run out, and so do cool-downs.
        time.sleep(LEASE + 1)

    @staticmethod
    def _insist(worker: WorkerProcess, do: str, answer: str) -> None:
        """Ask again if it was killed meanwhile: by the server, for a request that was on its way."""
        while True:
            name = worker.name
            worker.wait_until_ready()
            before = worker.seen[answer]
            worker.send(do)
            worker.wait_for(lambda n=name, b=before: worker.seen[answer] > b or worker.name != n, answer)
            if worker.seen[answer] > before:
                return

    def _prove(self) -> None:
        """Each grant is called, renewed and called again by two processes, one after the other."""
        subjects = [subject_of(number) for number in range(GRANTS)]
        for shift in (0, 1):
            say(f"  proving that {GRANTS} grants work, for the {('first', 'second')[shift]} time")
            self._faults("proof begins", shift=shift)
            asked = [(worker, subjects[(worker.number + shift) % WORKERS :: WORKERS]) for worker in self._workers]
            _all(lambda each: each[0].answer("prove", "proved", subjects=each[1]), asked)

    def _close_workers(self) -> None:
        say("  closing")
        for worker in self._workers:
            worker.finish()
        _all(lambda worker: worker.wait_for_end(), self._workers)
        # The readers have written the last lines by then.
        time.sleep(0.5)

    def _audit(self) -> None:
        """What the stores have, as anyone reads it who opens them now."""
        records: dict[str, Any] = {}
        unreadable: list[str] = []
        for name, store in self._stores.items():
            for key in store.keys("token/"):
                known = parse_token_key(key)
                try:
                    record = store.load(key)
                    assert known is not None
                    assert record is not None
                    token = Token.from_dict(record.data["token"])
                    grant, generation = name_of(str(token.refresh_token))
                    subject = str(known[1].subject)
                    records[subject] = {"grant": grant, "generation": generation, "ended": record.data.get("ended")}
                except Exception as error:
                    unreadable.append(f"{name} {key}: {error!r}")
            unreadable += [f"{name}: {each}" for each in getattr(store, "check", list)()]
        locks = {name: stores.locks_left(name, self._settings) for name in STORES}
        found = {"records": records, "unreadable": unreadable, "locks": locks, "counts": self._server.ask("counts")}
        (self.directory / "audit.json").write_text(json.dumps(found, indent=1))


def _all(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Do it for all at the same time, and raise what the first one raised."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, item) for item in items]:
            done.result()


def chaos(seed: int, minutes: float, *, excludes: bool = True) -> tuple[Verdict, Path]:
    """Run one seed. Returns the verdict, and where all logs are."""
    plan = make_plan(seed, minutes)
    directory = Path(tempfile.mkdtemp(prefix=f"chaos-seed-{seed}-"))
    (directory / "plan.json").write_text(
        json.dumps({"seed": seed, "seconds": plan.seconds, "actions": [each.to_json() for each in plan.actions]})
    )
    say(f"chaos: seed {seed}, {minutes:g} minutes, {GRANTS} grants, {WORKERS} processes, {len(STORES)} stores")
    return Run(plan, directory, excludes=excludes)(), directory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", action="store_true", help="keep the logs also if all is well")
    parser.add_argument("--without-locks", action="store_true", help="break the locks, to see that this is noticed")
    # Everything is closed also where the shell that started this in the background has SIGINT ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    settings = parser.parse_args()
    verdict, directory = chaos(settings.seed, settings.minutes, excludes=not settings.without_locks)
    say(verdict.table())
    say(f"replay: make chaos SEED={settings.seed} MINUTES={settings.minutes:g}")
    if verdict.failures or settings.keep:
        say(f"all logs: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if verdict.failures else 0


if __name__ == "__main__":
    threading.current_thread().name = "chaos"
    sys.exit(main())
