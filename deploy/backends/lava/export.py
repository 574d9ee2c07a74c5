"""A plan as a Python module that a Lava user can read, run and change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from spikeport.converters.chip_network import ChipNetwork
from spikeport.deploy.backends.lava.plan import ENUMS, HOMES, NAMELESS, Part, Plan, Wire, plan

_HEAD = '''"""A spiking network as Lava Processes, written by spikeport from {model}.

    processes = build({{{inputs}}})
    processes["{output}"].run(condition=RunSteps(num_steps=...), run_cfg=run_config())
    processes["{output}"].stop()  # always: a runtime that is not stopped hangs the program at its end

Inputs are integers of the shape given in `build`, time last; a RingBuffer starts again at its end. An input spike of
step t reaches a population of depth k (shortest path, in synapse groups) in step t + k; the network's own
depth is {depth}. Images lie as (width, height, channels).
"""

from pathlib import Path

import numpy as np
from spikeport.deploy.backends.lava.compatibility import prepare

{prepare}  # lets Python 3.11 and newer import lava-nc 0.10.0; on Python 3.10 with numpy < 2 it may go

{imports}

with np.load(Path(__file__).with_name({arrays!r}), allow_pickle=False) as file:
    arrays = dict(file)
{helpers}

def build(inputs):
    """The Processes by name, connected; ``inputs``: arrays by name, (..., steps)."""
'''
_MATRIX = '''

def matrix(name):
    """A csr_matrix out of its stored parts."""
    data, indices, indptr = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    return csr_matrix((data, indices, indptr), tuple(arrays[f"{name}.shape"]))
'''


@dataclass(frozen=True)
class Export:
    """The text of a module, the arrays that lie beside it, and the plan behind both."""

    text: str
    arrays: Mapping[str, NDArray[Any]]
    plan: Plan

    def write_arrays(self, file: IO[bytes]) -> None:
        """Write the arrays as .npz."""
        np.savez_compressed(file, **self.arrays)  # type: ignore[arg-type]


def export(network: ChipNetwork, model: str, arrays_name: str) -> Export:
    """The module that builds ``network``.

    Args:
        network: the program.
        model: where it came from, for the docstring.
        arrays_name: file name of the .npz beside the module.

    Raises:
        BackendError: Lava cannot hold the network.
    """
    laid_out = plan(network)
    arrays: dict[str, NDArray[Any]] = {}
    body = [line for part in laid_out.parts for line in _part_lines(part, arrays)]
    body += ["", *map(_wire_line, laid_out.wires), ""]
    body += ["return {", *(f'    "{part.name}": {part.name},' for part in laid_out.parts), "}"]
    inputs = ", ".join(f'"{laid_out.names[n]}": data' for n in network.inputs)
    head = _HEAD.format(
        model=_one_line(model),
        inputs=inputs,
        prepare="prepare(convolution=True)" if any("Conv" in part.kind for part in laid_out.parts) else "prepare()",
        output=laid_out.names[network.outputs[0]],
        depth=network.depth,
        imports="\n".join(_imports(laid_out)),
        arrays=arrays_name,
        helpers=_MATRIX if any(part.kind.endswith("Sparse") for part in laid_out.parts) else "",
    )
    indented = "\n".join(f"    {line}" if line else "" for line in body)
    return Export(f"{head}{indented}\n", arrays, laid_out)


def _imports(plan: Plan) -> list[str]:
    kinds = {part.kind for part in plan.parts}
    lines = {f"from {HOMES[kind]} import {kind}" for kind in kinds}
    lines.add("from lava.magma.core.run_conditions import RunSteps")
    lines.add("from spikeport.deploy.backends.lava.build import run_config")
    used = {key for part in plan.parts for key in part.arguments}
    lines |= {f"from {module} import {enumeration}" for key, (module, enumeration) in ENUMS.items() if key in used}
    if any(kind.endswith("Sparse") for kind in kinds):
        lines.add("from scipy.sparse import csr_matrix")
    return sorted(lines)


def _part_lines(part: Part, arrays: dict[str, NDArray[Any]]) -> Iterator[str]:
    yield f"# {_one_line(part.origin)}"
    if part.kind == "RingBuffer":
        shape = part.arguments["data"].shape[:-1]
        yield f'{part.name} = RingBuffer(data=inputs["{part.name}"])  # {(*shape, "steps")}'.replace("'steps'", "steps")
        return
    yield f"{part.name} = {part.kind}("
    if part.kind not in NAMELESS:
        yield f'    name="{part.name}",'
    for key, value in part.arguments.items():
        member = f"{ENUMS[key][1]}.{value.upper()}" if key in ENUMS else None
        yield f"    {key}={member or _expression(f'{part.name}.{key}', value, arrays)},"
    yield ")"


def _expression(place: str, value: Any, arrays: dict[str, NDArray[Any]]) -> str:
    """Python for an argument; arrays go to the .npz under ``place``."""
    match value:
        case csr_matrix():
            for field in ("data", "indices", "indptr"):
                arrays[f"{place}.{field}"] = getattr(value, field)
            arrays[f"{place}.shape"] = np.array(value.shape)
            return f'matrix("{place}")'
        case np.ndarray():
            arrays[place] = value
            return f'arrays["{place}"]'
        case np.integer():
            return repr(value.item())
        case _:
            return repr(value)


def _wire_line(wire: Wire) -> str:
    reshape = "" if wire.reshape is None else f".reshape({wire.reshape})"
    return f"{wire.source}.{wire.out_port}{reshape}.connect({wire.target}.{wire.in_port})"


def _one_line(text: str) -> str:
    """A user's name for a comment or docstring: nothing in it can end either."""
    return text.encode("unicode_escape").decode().replace('"', "'").replace("{", "(").replace("}", ")")
