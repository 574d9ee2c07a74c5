"""``python -m framework_cases snntorch``: every case of a framework, as JSON for the table."""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

import torch

from framework_cases.case import assert_case

SHOWN = ("spikes", "compared", "wrong", "message", "exchanged", "others")
WITH = ("torch", "nir", "nirtorch")


def main(framework: str) -> int:
    """Run and print; the exit code counts what failed."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows, failed = [], 0
    for case in import_module(f"framework_cases.{framework}_cases").CASES:
        row = {"layer": case.layer, "name": case.name, "refused": case.refused, "error": ""}
        try:
            found = assert_case(case)
        except Exception as error:
            failed += 1
            row["error"] = f"{type(error).__name__}: {error}"
        else:
            row |= {key: getattr(found, key) for key in SHOWN}
        rows.append(row)
    versions = {name: version(name) for name in (framework, *WITH) if find_spec(name)}
    print(json.dumps({"framework": framework, "versions": versions, "rows": rows}))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
