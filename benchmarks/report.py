"""The page of figures: Markdown tables and SVG plots, made from what `run.py` measured and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from peers import FOR_ALL, HAND_WRITTEN
from plots import bars, curves

Target = tuple[str, float, float, str]
"""What is measured, its figure, the most it may be, and how the two are written."""


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def of(label: str) -> tuple[str, str]:
    """The library and the client of a label."""
    name, _, client = label.rpartition(" (")
    return name, client.rstrip(")")


# --- targets ---------------------------------------------------------------------------------------------------------


def _hot_path_targets(found: dict[str, Any]) -> list[Target]:
    rows: list[Target] = []
    for label, ratio in found.get("step", {}).get("over_trivial", {}).items():
        name, client = of(label)
        if name == "blnk_auth":
            limit = 2.5 if client in ("requests", "aiohttp async") else 1.15
            rows.append((f"auth step over a trivial one, {client}", ratio, limit, "{:.2f}"))
            rows += _over_the_cheapest_peer(found["step"]["instructions"], client)
    for label, ratio in found.get("whole", {}).get("over_hard_coded", {}).items():
        name, client = of(label)
        if name == "blnk_auth":
            rows.append((f"whole request over a hard-coded header, {client}", ratio, 1.02, "{:.3f}"))
    return rows + [row for part in ("step", "whole") for row in _for_all_targets(found, part)]


def _for_all_targets(found: dict[str, Any], part: str) -> list[Target]:
    what = {"step": "auth step", "whole": "whole request"}[part]
    counted = found.get(part, {}).get("instructions", {})
    return [
        (
            f"Auth over the class of the package, {what}, {client}",
            each / counted[f"blnk_auth ({client})"],
            1.05,
            "{:.3f}",
        )
        for (name, client), each in ((of(label), each) for label, each in counted.items())
        if name == FOR_ALL
    ]


def _over_the_cheapest_peer(counted: dict[str, float], client: str) -> list[Target]:
    others = ("hard-coded header", "trivial auth", "blnk_auth", FOR_ALL, HAND_WRITTEN)
    peers = [count for label, count in counted.items() if of(label)[1] == client and of(label)[0] not in others]
    if not peers:
        return []
    return [
        (
            f"auth step over the cheapest that renews, {client}",
            counted[f"blnk_auth ({client})"] / min(peers),
            1,
            "{:.2f}",
        )
    ]


def _proof_targets(found: dict[str, Any]) -> list[Target]:
    what = "a request with a proof above Bearer, over the bare signature"
    return [(f"{what}, {' '.join(of(label))}", each["over_bare"], 1.3, "{:.2f}") for label, each in found.items()]


def _herd_targets(found: dict[str, Any]) -> list[Target]:
    rows: list[Target] = []
    for crowd, figures in found.items():
        for label, each in figures.items() if isinstance(figures, dict) else ():
            if not label.startswith("blnk_auth"):
                continue
            rows.append((f"token requests, {crowd}, {of(label)[1]}", each["token_requests"], 1, "{:.0f}"))
            rows.append((f"failed calls, {crowd}, {of(label)[1]}", each["failed_calls"], 0, "{:.0f}"))
            if "over_ideal" in each:
                rows.append((f"last answer over the ideal, {crowd}, {of(label)[1]}", each["over_ideal"], 1.3, "{:.2f}"))
    return rows


def _stall_targets(found: dict[str, Any]) -> list[Target]:
    rows: list[Target] = []
    for label, each in found.items():
        name, client = of(label)
        if name != "blnk_auth":
            continue
        limit = found[f"hard-coded header ({client})"]["waited"]
        rows.append((f"calls that waited beyond those of the hard-coded header, {client}",
                     max(each["waited"] - limit, 0), 0, "{:.0f}"))  # fmt: skip
        rows.append((f"p99 over the hard-coded header, {client}", each["p99_over_hard_coded"], 1.3, "{:.2f}"))
    return rows


def _import_targets(found: dict[str, Any]) -> list[Target]:
    rows: list[Target] = [("`import blnk_auth`, ms", found["net_ms"]["import blnk_auth"], 10, "{:.1f}")]
    shells = found["shell_over_client"].items()
    return rows + [(f"a shell's import over that of {client}", share, 0.10, "{:.0%}") for client, share in shells]


def _memory_targets(found: dict[str, Any]) -> list[Target]:
    rows: list[Target] = [
        (f"bytes above its strings per cached token, {int(number):,} subjects", each["above"], 400, "{:.0f}")
        for number, each in found["per_subject"].items()
    ]
    rows.append(("bytes in all per source that was used once", found["used_once"]["bytes"], 1000, "{:.0f}"))
    soak = found["soak"]
    return [*rows, ("memory blocks grown per renewal", soak["blocks_grown"] / soak["renewals"], 0.1, "{:.3f}")]


def _embedded_targets(found: dict[str, Any]) -> list[Target]:
    saves = [(name, each["ratio"]) for name, each in found["operations"].items() if name.endswith("save")]
    rows: list[Target] = [(f"{name} over the raw operation", ratio, 1.3, "{:.2f}") for name, ratio in saves[1:]]
    growth = found["growth"]
    return [*rows, (f"p99 of a load, {growth['records']:,} records over 1,000", growth["p99_ratio"], 1.5, "{:.2f}")]


def _store_targets(found: dict[str, Any]) -> list[Target]:
    rows: list[Target] = []
    for each in found.values():
        limits = {"load": 1, "save": 1, "lock": 2}
        rows += [(f"round trips of a {verb}, {each['server']}", number, limits[verb], "{:.0f}")
                 for verb, number in each.get("round_trips", {}).items()]  # fmt: skip
        if "growth" in each:
            what = f"p99 of a load, {each['growth']['records']:,} records over 1,000, {each['server']}"
            rows.append((what, each["growth"]["p99_ratio"], 1.5, "{:.2f}"))
    return rows


def _fleet_targets(found: dict[str, Any]) -> list[Target]:
    """The bare client over ours: renewals a second, and their CPU time, which a busy machine hardly changes."""
    rows: list[Target] = [
        (f"{what}, {label}", 1 / each[share], 1 / (0.7 if label.startswith("MemoryStore") else 0.6), "{:.2f}")
        for what, share in (
            ("the bare client's renewals a second over ours", "of_bare"),
            ("CPU time of a renewal over the bare client's", "cpu_of_bare"),
        )
        for label, each in found["renewals"].items()
    ]
    rows += [
        (f"due query, ms, {int(size):,} grants, {store}", each["ms"], 50, "{:.1f}")
        for store, sizes in found["due"].items()
        for size, each in sizes.items()
    ]
    for each in found["rates"]:
        if "asked" in each:
            what = f"keepalive at {each['asked']:.0f} a second{_of_whole_store(each)}"
            rows.append((f"{what}, the rate that was asked for over that reached", each["asked"] / each["a_second"], 1.05,
                         "{:.2f}"))  # fmt: skip
            rows.append((f"{what}, most in any second", each["most_in_a_second"], each["asked"] * 1.05 + 1, "{:.0f}"))
    return rows + [
        (f"MB that keepalive grows by, {label}, {each['grants']:,} grants", each["mb"], 20, "{:.1f}")
        for label, each in found["memory"].items()
    ]


def _of_whole_store(run: dict[str, float]) -> str:
    return f", {run['renewed']:,} due of {run['grants']:,}" if "grants" in run else ""


# --- what a user notices ---------------------------------------------------------------------------------------------


def _ours(figures: dict[str, Any]) -> list[Any]:
    return [each for label, each in figures.items() if label.startswith("blnk_auth")]


def _noticed_at_expiry(found: dict[str, Any]) -> list[str]:
    """The crowds that are measured for us and for others."""
    lines = []
    for crowd in ("64 threads", "1,000 tasks", "8 processes"):
        figures = found[crowd]
        ours = _ours(figures)
        others = [each for label, each in figures.items() if not label.startswith(("blnk_auth", HAND_WRITTEN))]
        lost = sum(each["grant_revoked"] for each in others)
        asked, failed = max(each["token_requests"] for each in ours), sum(each["failed_calls"] for each in ours)
        line = f"**{crowd} on one expired token**: {asked} token request, {failed} failed calls."
        if lost:
            line += f" Of {len(others)} auth classes of other libraries, {lost} lose the user's grant here."
        lines.append(line)
    return lines


def noticed(found: dict[str, Any]) -> str:
    """What a program notices of all this, in sentences."""
    lines = _noticed_at_expiry(found["herd"])
    shares = _ours(found["hot_path"]["whole"]["over_hard_coded"])
    dearest = max(max(shares) - 1, 0)
    lines.append(f"**A valid token**: {dearest:.1%} of a request's instructions at most, beside a hard-coded header.")
    waited = sum(each["waited"] for each in _ours(found["stalls"]))
    lines.append(f"**Steady traffic with tokens that live 2 s**: {waited} calls wait for a renewal.")
    lines.append(f"**`import blnk_auth`**: {found['imports']['net_ms']['import blnk_auth']:.0f} ms of CPU time.")
    above = max(each["above"] for each in found["memory"]["per_subject"].values())
    lines.append(f"**An idle token in memory**: {above:.0f} bytes above its own text; no lock, thread or connection.")
    if "fleet" in found:
        lines += _noticed_of_many_grants(found["fleet"])
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _noticed_of_many_grants(found: dict[str, Any]) -> list[str]:
    most = max(int(size) for sizes in found["due"].values() for size in sizes)
    slowest = max(sizes[str(most)]["ms"] for sizes in found["due"].values() if str(most) in sizes)
    lines = [f"**The first hundred due grants of {most:,}**: {slowest:.1f} ms in the slowest store."]
    if found["memory"]:
        grown = max(each["mb"] for each in found["memory"].values())
        lines.append(f"**A keepalive run over {most:,} grants**: {grown:.1f} MB of memory.")
    return lines


_TARGETS: dict[str, Callable[[dict[str, Any]], list[Target]]] = {
    "hot_path": _hot_path_targets,
    "proofs": _proof_targets,
    "herd": _herd_targets,
    "stalls": _stall_targets,
    "embedded": _embedded_targets,
    "stores": _store_targets,
    "fleet": _fleet_targets,
    "imports": _import_targets,
    "memory": _memory_targets,
}


def targets(found: dict[str, Any]) -> str:
    """Every target, whether it is met, and by how much it is missed."""
    rows = []
    for section, make in _TARGETS.items():
        for what, figure, limit, shape in make(found[section]) if section in found else ():
            missed = "met" if figure <= limit else f"missed by {(figure / limit - 1):.0%}" if limit else "missed"
            rows.append((what, shape.format(figure), shape.format(limit), missed))
    return table(("target", "measured", "at most", ""), rows)


# --- sections --------------------------------------------------------------------------------------------------------


def _hot_path(found: dict[str, Any], plots: Path) -> str:
    step, whole, timed = found.get("step"), found.get("whole"), found["timed"]
    rows = []
    for label in dict.fromkeys([*timed, *(step["instructions"] if step else ())]):
        counted = step and step["instructions"].get(label)
        rows.append((
            *of(label)[::-1],
            f"{counted:,.0f}" if counted else "",
            f"{step['over_trivial'][label]:.2f}" if counted else "",
            f"{whole['over_hard_coded'][label]:.3f}" if whole and label in whole["over_hard_coded"] else "",
            f"{timed[label]['microseconds']:.0f}" if label in timed else "",
        ))  # fmt: skip
    heads = "client|library|auth step, instructions|over trivial|whole request over hard-coded|whole request, us"
    text = table(heads.split("|"), rows)
    if step:
        bars(plots / "performance-hot-path.svg", step["instructions"], "instructions of the auth step", log=True)
        text += "\n![Instructions of the auth step](performance-hot-path.svg)\n"
    return text


def _proofs(found: dict[str, Any], plots: Path) -> str:
    if not found:
        return "Not measured in this run: instructions are counted where `valgrind` is.\n"
    rows = [
        (*of(label)[::-1], *(f"{each[name]:,.0f}" for name in ("bearer", "whole", "bare")), f"{each['over_bare']:.2f}")
        for label, each in found.items()
    ]
    heads = "client|algorithm|request with Bearer|request with a proof|bare signature|the difference over the signature"
    return table(heads.split("|"), rows)


def _herd(found: dict[str, Any], plots: Path) -> str:
    parts = []
    for crowd, figures in found.items():
        if not isinstance(figures, dict):
            continue
        rows = [
            (
                label,
                each["token_requests"],
                each["reuses"],
                each["failed_calls"],
                "**yes**" if each["grant_revoked"] else "no",
                f"{each['over_ideal']:.2f}" if "over_ideal" in each else "",
                f"{each['over_latency']:.2f}" if "over_latency" in each else "",
            )
            for label, each in figures.items()
        ]
        heads = ("", "token requests", "reuses", "failed calls", "grant revoked", "last answer over the ideal",
                 "over the latency alone")  # fmt: skip
        parts.append(f"### {crowd}\n\n" + table(heads, rows))
    requests = {label: each["token_requests"] for label, each in found["64 threads"].items()}
    bars(plots / "performance-herd.svg", requests, "token requests for 64 threads on one expired token")
    return "\n".join(parts) + "\n![Token requests of 64 threads](performance-herd.svg)\n"


def _stalls(found: dict[str, Any], plots: Path) -> str:
    rows = [
        (
            label,
            each["token_requests"],
            each["calls"],
            each["waited"],
            each["failed_calls"],
            *(f"{each[name]:.0f}" for name in ("p50_ms", "p99_ms", "max_ms")),
            f"{each['p99_over_hard_coded']:.2f}",
        )
        for label, each in found.items()
    ]
    p99 = {label: each["p99_over_hard_coded"] for label, each in found.items()}
    bars(plots / "performance-stalls.svg", p99, "p99 over the hard-coded header in the same client", log=True)
    heads = ("", "token requests", "calls", "waited", "failed", "p50 ms", "p99 ms", "max ms", "p99 over hard-coded")
    return table(heads, rows) + "\n![p99 across expiries](performance-stalls.svg)\n"


def _embedded(found: dict[str, Any], plots: Path) -> str:
    rows = [
        (name, f"{each['us']:.1f}", f"{each['raw_us']:.1f}", f"{each['ratio']:.2f}")
        for name, each in found["operations"].items()
    ]
    growth = found["growth"]
    return table(("", "us", "raw, us", "ratio"), rows) + (
        f"\nLoading from {growth['records']:,} records takes {growth['p50_ratio']:.2f} times as long as from 1,000 in "
        f"the median, and {growth['p99_ratio']:.2f} times at the 99th percentile.\n"
    )


def _stores(found: dict[str, Any], plots: Path) -> str:
    parts = []
    for each in found.values():
        rows = [
            (name, f"{one['us']:.0f}", f"{one['raw_us']:.0f}", f"{one['ratio']:.2f}")
            for name, one in each["operations"].items()
        ]
        parts.append(table((each["server"], "us", "raw, us", "ratio"), rows))
        if "round_trips" in each:
            trips = ", ".join(f"{verb} {number}" for verb, number in each["round_trips"].items())
            parts.append(f"Round trips, as the server counts them: {trips}.\n")
        if "growth" in each:
            grown = each["growth"]
            parts.append(f"A load from {grown['records']:,} records over one from 1,000: {grown['p50_ratio']:.2f} times in "
                         f"the median, {grown['p99_ratio']:.2f} at the 99th percentile.\n")  # fmt: skip
    return "\n".join(parts) or (
        "Not measured in this run: name servers in `BLNK_TEST_REDIS_URL`, `BLNK_TEST_POSTGRES_URL` and "
        "`BLNK_TEST_MARIADB_URL`.\n"
    )


def _fleet(found: dict[str, Any], plots: Path) -> str:
    rows = [
        (
            label,
            *(f"{each[name]:,.0f}" for name in ("renewals_a_second", "bare_a_second")),
            f"{each['of_bare']:.2f}",
            *(f"{each[name]:.2f}" for name in ("cpu_ms", "bare_cpu_ms", "cpu_of_bare")),
        )
        for label, each in found["renewals"].items()
    ]
    heads = "|renewals a second|bare, a second|of bare|CPU ms each|bare, CPU ms|bare over ours"
    shares = {f"blnk_auth, {label}": each["of_bare"] for label, each in found["renewals"].items()}
    bars(plots / "performance-fleet.svg", shares, "renewals a second, as a share of the bare client's")
    curves(plots / "performance-due.svg", found["due"], "milliseconds to find the first hundred due grants", limit=50)
    return (
        table(heads.split("|"), rows)
        + "\n![Renewals a second](performance-fleet.svg)\n\n"
        + "\n".join((_due(found["due"]), _rates(found["rates"]), _keepalive_memory(found["memory"])))
    )


def _due(found: dict[str, Any]) -> str:
    sizes = list(next(iter(found.values())))
    rows = [
        (store, *(f"{each[size]['ms']:.1f} ({each[size]['worst_ms']:.1f})" if size in each else "" for size in sizes))
        for store, each in found.items()
    ]
    return (
        "### Finding due grants\n\n"
        "Milliseconds for the first hundred due grants, by the number of grants, of which one in two hundred is due: "
        "the median of 30 calls, and the slowest.\n\n"
        + table(("", *(f"{int(size):,}" for size in sizes)), rows)
        + "\n![Milliseconds to find due grants](performance-due.svg)\n"
    )


def _rates(found: list[dict[str, float]]) -> str:
    rows = [
        (
            (f"{each['asked']:.0f}" if "asked" in each else "as many as it can") + _of_whole_store(each),
            each["renewed"],
            f"{each['a_second']:.1f}",
            each["most_in_a_second"],
            f"{each['first_after']:.2f}",
        )
        for each in found
    ]
    heads = ("renewals a second, asked for", "grants renewed", "reached", "most in any second", "first one after, s")
    return (
        "### Keepalive, by its rate\n\n"
        "Each run but the last is over the same SQLite file with the most grants above, and renews another part of those "
        "that are due; the last renews all that are due in a file of its own. Each has the default of four workers. "
        "Measured by the moments at which renewals ended.\n\n" + table(heads, rows)
    )


def _keepalive_memory(found: dict[str, Any]) -> str:
    rows = [
        (label, f"{each['grants']:,}", f"{each['looked_at']:,}", each["renewed"], f"{each['mb']:.1f}")
        for label, each in found.items()
    ]
    return (
        "### Keepalive, memory\n\n"
        "By how much the resident memory of the process rises above that before the run, in samples of a tenth of a "
        "second. The file is the same.\n\n" + table(("", "grants", "looked at", "renewed", "MB"), rows)
    )


def _imports(found: dict[str, Any], plots: Path) -> str:
    modules, counted = found["modules"], found["net_instructions"]
    rows = [
        (
            name,
            f"{value:.1f}",
            f"{counted[name] / 1e6:,.0f}" if name in counted else "",
            ", ".join(f"`{module}`" for module in modules.get(name, ())),
        )
        for name, value in found["net_ms"].items()
        if name != "bare"
    ]
    bare = f"A bare interpreter: {found['bare_ms']:.0f} ms.\n\n"
    heads = ("import", "CPU ms over a bare interpreter", "million instructions over it", "heavy modules loaded")
    return bare + table(heads, rows)


def _memory(found: dict[str, Any], plots: Path) -> str:
    rows = [
        (f"{int(number):,}", *(f"{each[name]:.0f}" for name in ("bytes", "own_strings", "above")),
         f"{each['lookup_us']:.1f}")
        for number, each in found["per_subject"].items()
    ]  # fmt: skip
    soak = found["soak"]
    return table(("subjects", "bytes each", "its own strings", "above them", "lookup, us"), rows) + (
        f"\nA source that is kept and was used once takes {found['used_once']['bytes']:.0f} bytes in all, with an access "
        f"token and a refresh token of 100 characters each, as measured with {found['used_once']['subjects']:,} of them.\n"
        f"\nA renewal under way: {found['per_flight_bytes']:,.0f} bytes and the stack of its thread.\n"
        f"After {soak['renewals']:,} renewals: {soak['blocks_grown']:,} memory blocks more than the {soak['blocks_before']:,} before.\n"
    )


def _failures(found: dict[str, Any], herd: dict[str, Any]) -> str:
    scenarios = {
        "F04": "4 event loops", "F05": "10 requests of 0.3 s in parallel", "F07": "renewing task cancelled",
        "F12": "token endpoint down", "F16": '`expires_in: "3600.5"`', "F30": "revoked token, 50 calls",
        "F34": "one-shot body, 401", "F35": "API redirects away", "F36": "token endpoint redirects away",
        "F38": "call to another origin",
    }  # fmt: skip
    mark = {True: "✓", False: "✗", None: "-"}
    labels = list(found)
    rows = []
    for label in labels:
        crowd = herd["64 threads"].get(label) or herd["1,000 tasks"].get(label)
        processes = herd["8 processes"].get(label)
        cells = [
            _herd_cell(crowd),
            *(f"{mark[found[label][s]['passed']]} {found[label][s]['what']}" for s in scenarios),
        ]
        rows.append((label, *cells, _herd_cell(processes)))
    heads = ["", "F01 crowd", *(f"{number} {name}" for number, name in scenarios.items()), "F40 8 processes"]
    return table(heads, rows)


def _herd_cell(each: dict[str, Any] | None) -> str:
    if each is None:
        return "-"
    good = each["token_requests"] == 1 and not each["reuses"] and not each["failed_calls"]
    return f"{'✓' if good else '✗'} {each['token_requests']} renewals, {each['failed_calls']} calls failed"


_SECTIONS: dict[str, tuple[str, str, Callable[[dict[str, Any], Path], str]]] = {
    "hot_path": (
        "A valid token",
        (
            "What each request costs. The auth step is what the client runs between a request that is ready and its "
            "sending; the whole request is sent to a mock transport, and its ratio is one of instructions."
        ),
        _hot_path,
    ),
    "proofs": (
        "A token with a proof (DPoP)",
        (
            "Instructions of whole requests to a mock transport that sends a date and nonces. The bare signature is one "
            "of the same key in the form of JWS, made by `cryptography` alone, which no client can avoid."
        ),
        _proofs,
    ),
    "herd": (
        "A crowd on an expired token",
        (
            "The refresh token rotates, and a spent one that comes again ends the grant. The ideal is the same crowd "
            "with a valid token, plus one answer of the token endpoint (200 ms)."
        ),
        _herd,
    ),
    "stalls": (
        "Steady traffic across expiries",
        (
            "Tokens live 2 s, the token endpoint takes 200 ms, the API 10 ms; 16 threads or 200 tasks. A call waited "
            "if it took over 110 ms. The mocked API accepts every token, also an expired one, and a call that fails "
            "immediately is quick: so few token requests beside many calls, or failed calls, mean more than a low p99."
        ),
        _stalls,
    ),
    "embedded": ("Stores that need no server", "Each beside its raw limit.", _embedded),
    "stores": ("Stores on servers", "Each beside the same commands on the bare driver.", _stores),
    "fleet": (
        "Renewals of many grants",
        (
            "Sixteen threads renew different grants; the token endpoint answers immediately, from a process of its own. "
            "Bare: as many threads send the same requests through one pooled `httpx.Client`, and save in the same store."
        ),
        _fleet,
    ),
    "imports": ("Import", "CPU time over a bare interpreter.", _imports),
    "memory": ("Memory", "A token of 1,200 characters for each subject.", _memory),
}


def _taken(when: dict[str, Any]) -> str:
    """When a section was measured, and whether other programs had the machine too."""
    text = f"Measured {when['date']}"
    if when["busy"] is None:
        return text + ".\n"
    text += f"; other programs used {when['busy']:.2f} of {when['processors']} processors before it began."
    if when["busy"] > when["processors"] / 4:
        text += (
            "\n**The machine was shared with other programs**: times mean little here. "
            "Counts of instructions, bytes and requests do not depend on that."
        )
    return text + "\n"


def write(found: dict[str, Any], page: Path) -> None:
    """Write the page and its plots."""
    where, versions = found["machine"], found["machine"]["versions"]
    notes = Path(__file__).with_name("missed.md")
    parts = [
        "# Performance\n",
        "This page is made by `make bench`; nothing on it is written by hand but the notes on missed targets.",
        f"Measured on {where['system']}, {where['python']}; each section names its day, and how busy other programs kept the machine before it began.",
        "Only ratios within one run mean something on another machine.\n",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".\n",
        "## What you notice\n",
        noticed(found),
    ]
    for name, (title, introduction, make) in _SECTIONS.items():
        if name in found:
            parts += [
                f"## {title}\n",
                introduction + "\n",
                _taken(found["taken"][name]),
                make(found[name], page.parent),
            ]
    if "failures" in found and "herd" in found:
        parts += ["## How each fails\n", "Measured with the crowds above, each library in a process of its own.\n"]
        parts.append(_failures(found["failures"], found["herd"]))
        import peers

        apart = {label: " " + _taken(when).strip().replace("\n", " ") for label, when in found["taken"].items()}
        parts += [f"* {peer.label}: {peer.note}.{apart.get(peer.label, '')}" for peer in peers.PEERS if peer.note]
    parts += ["\n## Targets, met and missed\n", targets(found), notes.read_text() if notes.exists() else ""]
    page.write_text("\n".join(parts).rstrip() + "\n")
