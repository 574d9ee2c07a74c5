"""The state of an installation: packages, Lava, Intel's compiler, and what would mend each."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, TypedDict

from rich.console import RenderableType

from spikeport.deploy.backends.lava.compatibility import INSTALL, installed
from spikeport.deploy.report.tables import columns

_PROBE = (
    "from spikeport.deploy.backends.lava import compatibility as c; c.prepare(); "
    "from spikeport.deploy.backends.lava import build; print(c.loihi_compiler_installed())"
)
PROBE_S = 120
"""Seconds that importing Lava may take."""


class Check(TypedDict):
    """One line: what was looked at, whether it is well ("yes", "no", "optional"), what was found, what mends it."""

    what: str
    usable: str
    found: str
    mend: str


def health_record() -> dict[str, Any]:
    """Every check, and ``healthy``: whether the core can work (Lava and the compiler are optional)."""
    checks = [_python(), *_packages(), *_zoo(), *_lava()]
    return {"healthy": all(check["usable"] != "no" for check in checks), "checks": checks}


def health_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The record for people."""
    names = {"what": "what", "usable": "usable", "found": "found"}
    tables: list[RenderableType] = [columns("spikeport doctor", record["checks"], names)]
    for check in record["checks"]:
        if check["mend"]:
            tables.append(f"{check['what']}: {check['mend']}")
    return tables


def _python() -> Check:
    fine = sys.version_info >= (3, 10)
    return _check("Python", fine, sys.version.split()[0], "install Python 3.10 or newer")


def _packages() -> Iterable[Check]:
    """Every requirement of the core."""
    names = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires("spikeport") or () if "extra ==" not in line
    ]
    old = sys.version_info < (3, 11)
    for name in sorted(set(names) - (set() if old else {"tomli"})):
        found = _version(name)
        yield _check(name, found is not None, found or "missing", f"{sys.executable} -m pip install '{name}'")


def _zoo() -> Iterable[Check]:
    """What single features of the zoo need: .aedat4 files, searches, pictures, TensorBoard."""
    lines = [line for line in requires("spikeport") or () if re.search(r"extra == .zoo.", line)]
    for name in sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}):
        found = _version(name)
        mend = "" if found else f"{sys.executable} -m pip install 'spikeport[zoo]'"
        yield {"what": name, "usable": "yes" if found else "optional", "found": found or "missing", "mend": mend}


def _lava() -> Iterable[Check]:
    if not installed():
        yield {"what": "lava-nc", "usable": "optional", "found": "missing", "mend": INSTALL}
        return
    fault, said = _probe()
    yield _check("lava-nc", not fault, fault or (_version("lava-nc") or "no metadata"), INSTALL)
    compiler = said.endswith("True")
    yield {
        "what": "Loihi compiler",
        "usable": "yes" if compiler else "optional",
        "found": "present" if compiler else "missing; networks run on Lava's CPU models",
        "mend": "" if compiler else "Intel gives it to members of its Neuromorphic Research Community only",
    }


def _probe() -> tuple[str, str]:
    """(what went wrong, what was said) when a program of its own imports Lava."""
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"importing it takes more than {PROBE_S} s", ""
    fault = (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""
    return fault, done.stdout.strip()


def _check(what: str, fine: bool, found: str, mend: str) -> Check:
    return {"what": what, "usable": "yes" if fine else "no", "found": found, "mend": "" if fine else mend}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
