"""Engines against each other and against other simulators: the same networks and inputs, in turn, in one run.

Run ``make bench``, or ``python benchmarks/engines.py --quick``. Each measurement has a process of its own; other
simulators have environments of their own, made in the cache folder on first use. Ratios are of times per sample.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_folder import cache_folder
from environments import NotInstalledError, python_of
from table import Row, markdown

HERE = Path(__file__).parent
MARK = "@@"
TIMEOUT_S = 1800.0
OURS = ("reference", "events", "dense", "auto")


@dataclass(frozen=True)
class Peer:
    """Another simulator.

    Attributes:
        script: the worker in peers/.
        families: of the cases it can run.
        batched: whether it takes a batch; otherwise it runs the first sample of the case.
        most_neurons: beyond which it is not asked.
    """

    script: str
    families: tuple[str, ...]
    batched: bool = False
    most_neurons: int = 1 << 30


PEERS = {
    "lava": Peer("lava_cpu.py", ("mlp", "nmnist", "recurrent", "pilotnet", "braille"), most_neurons=100_000),
    "sanafe": Peer("sanafe_loihi.py", ("mlp", "recurrent")),
    "snntorch": Peer("snntorch_float.py", ("mlp", "nmnist", "recurrent", "pilotnet", "braille", "layer"), True),
    "brian2loihi": Peer("brian_loihi.py", ("mlp",)),
    "nengo-loihi": Peer("nengo_emulator.py", ("mlp", "recurrent"), most_neurons=4096),
}
CASES = (
    "mlp:T=25:B=1", "mlp:T=25:B=64", "mlp:T=25:B=1024", "mlp:T=1000:B=1", "mlp:T=1000:B=64", "mlp:T=1000:B=1024",
    "nmnist:B=1", "nmnist:B=64", "braille:B=1", "braille:B=64", "pilotnet:T=25:B=1", "pilotnet:T=25:B=16",
    "recurrent:N=1024:T=1000", "recurrent:N=4096:T=400", "recurrent:N=16384:T=100", "recurrent:N=65536:T=40",
    "layer:T=100:B=64:rate=5", "layer:T=100:B=64:rate=30",
)  # fmt: skip
QUICK = (
    "mlp:T=25:B=1", "mlp:T=25:B=64", "nmnist:B=1", "recurrent:N=1024:T=200",
    "layer:T=100:B=16:rate=5", "layer:T=100:B=16:rate=30",
)  # fmt: skip
SYNAPSES = {"mlp": 2e5, "layer": 1e6, "pilotnet": 3e7}
REFERENCE_LIMIT = 2e9
"""Synapses × steps × samples beyond which the reference is not asked; it is there to be equal to, not to be fast."""


@dataclass
class Session:
    """One run of the benchmark: options, and everything measured so far."""

    options: argparse.Namespace
    folder: Path
    rows: list[Row] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)

    def job(self, who: str, case: str) -> dict[str, Any]:
        """What the worker is told."""
        quick = self.options.quick
        return {
            "case": case, "engine": who, "data": str(self.options.data), "threads": self.options.threads,
            "folder": str(self.folder / "cases" / case.replace(":", "_").replace("=", "")),
            "least_s": 0.2 if quick else 0.5, "limit_s": 10 if quick else 60, "lava_s": 1.0 if quick else 3.0,
        }  # fmt: skip


def main() -> None:
    """Measure, print the table, write engines.json and engines.md."""
    options = _options()
    folder = cache_folder()
    kept = folder / "peers.json"
    session = Session(options, folder, kept=json.loads(kept.read_text()) if options.reuse and kept.exists() else {})
    cases = [c for c in options.cases or (QUICK if options.quick else CASES) if options.only in c]
    began, machine = time.time(), []
    for repetition in range(options.repeats):
        machine.append(_worker(sys.executable, HERE / "machine.py", [str(options.threads)], options.threads))
        for case in cases:
            for who in _participants(case, options):
                _measure(session, repetition, who, case)
                kept.write_text(json.dumps(session.kept))
                _write(session, machine, options, began)
    print(_write(session, machine, options, began))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="spikeport's engines and other simulators on the same networks")
    parser.add_argument("--quick", action="store_true", help="small cases, once: two or three minutes")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--cases", nargs="+", help="these cases, as in cases.py: mlp:T=25:B=64")
    parser.add_argument("--who", nargs="+", default=[*OURS, *PEERS], help="engines and simulators to measure")
    parser.add_argument("--repeats", type=int, help="times that everything is measured in turn (3; 1 if quick)")
    parser.add_argument("--reuse", action="store_true", help="take other simulators' figures from the last run here")
    parser.add_argument("--threads", type=int, default=_processors(), help="threads for everybody")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with nmnist/ and nir_paper/")
    parser.add_argument("-o", "--out", type=Path, default=Path("bench"), help="folder for engines.json and engines.md")
    options = parser.parse_args()
    options.data = options.data.resolve()
    options.repeats = options.repeats or (1 if options.quick else 3)
    return options


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _participants(case: str, options: argparse.Namespace) -> Iterator[str]:
    family, sizes = case.split(":")[0], dict(s.split("=") for s in case.split(":")[1:])
    work = float(sizes.get("T", 300)) * float(sizes.get("B", 1)) * SYNAPSES.get(family, 5e5)
    for who in options.who:
        if who == "reference" and work > REFERENCE_LIMIT:
            continue
        if who in PEERS:
            peer = PEERS[who]
            if family not in peer.families or int(sizes.get("N", 0)) > peer.most_neurons:
                continue
        yield who


def _measure(session: Session, repetition: int, who: str, case: str) -> None:
    """Run a worker, or take what is known of it, and add a row."""
    alone = who in PEERS and not PEERS[who].batched
    actual = ":".join("B=1" if part.startswith("B=") else part for part in case.split(":")) if alone else case
    key = f"{who} {actual}"
    known = session.kept.get(key) if who in PEERS else None
    if known is None or (known["repetition"] != repetition and not session.options.reuse):
        known = {"repetition": repetition, **_run(session, who, actual)}
        if who in PEERS:
            session.kept[key] = known
    session.rows.append(Row(case, who, repetition, known))
    print(f"{case} {who}: {_short(known)}", file=sys.stderr, flush=True)


def _short(found: dict[str, Any]) -> str:
    if "failed" in found:
        return str(found["failed"])
    return f"{min(found['cpu_s']) / found['samples'] * 1e3:.3f} CPU ms per sample, {found['peak_mb']:.0f} MB"


def _run(session: Session, who: str, case: str) -> dict[str, Any]:
    job = session.job(who, case)
    try:
        interpreter = python_of(who if who in PEERS else "")
    except NotInstalledError as error:
        return {"failed": f"not installed: {error}"}
    script = HERE / "peers" / (PEERS[who].script if who in PEERS else "spikeport_engine.py")
    if who in PEERS and who != "lava":
        _describe(case, session.options.data, Path(job["folder"]))
    file = session.folder / "job.json"
    file.write_text(json.dumps(job))
    return _worker(interpreter, script, [str(file)], session.options.threads)


def _describe(case: str, data: Path, folder: Path) -> None:
    """Write the case down for simulators that know nothing of spikeport, in a process that then forgets it."""
    if not (folder / "network.json").exists():
        arguments = [case, str(data), str(folder)]
        subprocess.run([sys.executable, str(HERE / "describe.py"), *arguments], check=False, capture_output=True)


def _worker(interpreter: str, script: Path, arguments: list[str], threads: int) -> dict[str, Any]:
    """The JSON that a worker prints, or why there is none."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment |= {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    try:
        command = [interpreter, str(script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment)
    except subprocess.TimeoutExpired:
        return {"failed": f"no result within {TIMEOUT_S:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    return found


def _write(session: Session, machine: list[dict[str, Any]], options: argparse.Namespace, began: float) -> str:
    """Both files; the Markdown."""
    options.out.mkdir(parents=True, exist_ok=True)
    about = {
        "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "minutes": round((time.time() - began) / 60, 1),
        "machine": f"{platform.machine()}, {_processors()} processors, {options.threads} threads, {platform.system()}",
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "python": platform.python_version(),
        "repeats": options.repeats,
    }
    if options.reuse:
        about["other simulators"] = "measured in an earlier run here (--reuse)"
    text = markdown(session.rows, machine, about)
    (options.out / "engines.md").write_text(text)
    values = {"about": about, "machine": machine, "rows": [row.__dict__ for row in session.rows]}
    (options.out / "engines.json").write_text(json.dumps(values, indent=1))
    return text


if __name__ == "__main__":
    main()
