"""Which layers of which framework are read exactly: run every case in an environment of its own, write the table.

    python benchmarks/framework_table.py --environments FOLDER        (makes what is missing; needs pip's index)

Each framework gets a virtual environment in FOLDER (about 1 GB each: torch). Takes about two minutes per framework
once the environments stand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spikeport.converters.read.modules.frameworks import FRAMEWORKS
from spikeport.converters.read.modules.functions import OPERATIONS
from spikeport.converters.read.modules.layouts import LAYOUTS
from spikeport.converters.read.modules.pooling import POOLS
from spikeport.converters.write.atomic import atomic_write

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "frameworks.md"
MARK = "<!-- measured: what follows is written by benchmarks/framework_table.py -->"
TORCH = "torch==2.13.0"
# Sinabs and Rockpool need an older nir than the others.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "snntorch": ("snntorch==1.0.0", "nir==1.0.8"),
    "norse": ("norse==1.1.0", "nir==1.0.8"),
    "sinabs": ("sinabs==3.1.3", "nir<=1.0.4"),
    "spikingjelly": ("spikingjelly==2.0.0", "nir==1.0.8"),
    "rockpool": ("rockpool==3.1.0", "nir<=1.0.4"),
}
TITLES: Mapping[str, str] = {
    "snntorch": "snnTorch",
    "norse": "Norse",
    "sinabs": "Sinabs",
    "spikingjelly": "SpikingJelly",
    "rockpool": "Rockpool (torch backend)",
}


def environment(framework: str, folder: Path) -> Path:
    """The Python of an environment with one framework, made if it is not there."""
    home = folder / framework
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        venv.create(home, with_pip=True, clear=True)
        # SpikingJelly brings torchvision, which has to be built for its torch: pip chooses the pair.
        torch = () if framework == "spikingjelly" else (TORCH,)
        for packages in ((*torch, *PACKAGES[framework], "pytest", "hypothesis"), (*torch, "-e", str(ROOT))):
            subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
        (home / "complete").touch()
    return python


def measure(framework: str, python: Path) -> dict[str, Any]:
    """Every case of a framework, run in its environment."""
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    run = subprocess.run(
        [str(python), "-m", "framework_cases", framework],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if not run.stdout.strip():
        sys.exit(f"{framework}: {run.stderr.strip() or 'no result'}")
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    for row in found["rows"]:
        if row["error"]:
            print(f"{framework}: {row['layer']}, {row['name']}: {row['error']}", file=sys.stderr)
    return found


def section(framework: str, found: Mapping[str, Any]) -> list[str]:
    """The table of one framework."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    entries = FRAMEWORKS[framework]
    others = dict.fromkeys(row["layer"] for row in found["rows"] if row["layer"] not in entries)
    lines = [f"## {TITLES[framework]}", "", f"Measured with {versions}.", ""]
    lines += ["| layer | read | nets | values compared | spikes | differing | |", "|---|---|---|---|---|---|---|"]
    for layer, entry in entries.items():
        if entry.status != "refused":
            lines.append(_line(layer, entry.status, entry.note, [r for r in found["rows"] if r["layer"] == layer]))
    reasons: dict[str, list[str]] = {}
    for layer, entry in entries.items():
        if entry.status == "refused":
            reasons.setdefault(entry.note, []).append(f"`{layer}`")
    for layer in others:
        rows = [r for r in found["rows"] if r["layer"] == layer]
        if any(r["refused"] for r in rows):
            reasons.setdefault(rows[0]["message"].split(": ", 1)[-1].rstrip("."), []).append(f"`{layer}`")
        else:
            lines.append(_line(layer, "exact", f"traced: {', '.join(r['name'] for r in rows)}", rows))
    return [*lines, "", "Refused:", "", *(f"- {', '.join(names)}: {why}" for why, names in reasons.items()), ""]


def _line(layer: str, status: str, note: str, rows: Sequence[Mapping[str, Any]]) -> str:
    read = [row for row in rows if not row["refused"] and not row["error"]]
    if any(row["error"] for row in rows):
        return f"| `{layer}` | **failed** | {len(rows)} | | | | {note} |"
    sums = [f"{sum(row[key] for row in read):,}" for key in ("compared", "spikes", "wrong")]
    counts = [str(len(read)), *sums] if read else ["", "", "", ""]
    note += "" if read else " (from its source, not measured)"
    return f"| `{layer}` | {status} | {' | '.join(counts)} | {note} |"


def measured(found: Sequence[Mapping[str, Any]]) -> str:
    """What stands below the mark in docs/frameworks.md."""
    nets = sum(1 for f in found for row in f["rows"] if not row["refused"])
    compared = sum(row.get("compared", 0) for f in found for row in f["rows"])
    wrong = sum(row.get("wrong", 0) for f in found for row in f["rows"])
    functions = ", ".join(f"`{name}`" for name in sorted({*OPERATIONS, *POOLS, *LAYOUTS}))
    lines = [
        f"{nets} nets of five frameworks, {compared:,} values of neurons compared, {wrong:,} of them different.",
        "",
        *(line for f in found for line in section(f["framework"], f)),
        "## torch functions",
        "",
        "What may stand between neurons, by torch's names (methods, in-place forms and modules that call them, too): "
        f"{functions}.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure all, write the page; the exit code is 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="folder of the virtual environments")
    arguments = parser.parse_args()
    arguments.environments.mkdir(parents=True, exist_ok=True)
    found = [measure(name, environment(name, arguments.environments)) for name in PACKAGES]
    prose, mark, _ = PAGE.read_text().partition(MARK)
    with atomic_write(PAGE) as file:
        file.write(f"{prose}{mark}\n\n{measured(found)}".encode())
    print(f"wrote {PAGE}")
    return int(any(row["error"] for f in found for row in f["rows"]))


if __name__ == "__main__":
    sys.exit(main())
