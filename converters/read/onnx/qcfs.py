"""QCFS and other rounding rectifiers, found as the arithmetic that an exporter writes them as.

Quantization clip-floor-shift (QCFS; Bu et al. 2022, arXiv:2303.04347, eq. 15)::

    y = λ / L · clip(floor(x · L / λ + 1/2), 0, L)

comes out of torch as Div, Clip, Mul, Add, Floor, Div, Mul in orders that differ between implementations. Around a Floor
(or a Round, which brings its own half) the chain of constants is followed in both directions; in front of it stands
u = a · x + b, behind it y = g · floor(u). Where b = 1/2, g = 1 / a, and the clips leave 0 to L whole numbers, the
chain becomes one node ``QCFS`` with the attributes ``ceiling`` = g · L and ``levels`` = L.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import product
from math import inf

import numpy as np

from spikeport.converters.read.onnx.graph import OnnxGraph, OnnxNode
from spikeport.converters.read.onnx.tensors import Values

# Relative: exporters fold the constants in float32.
TOLERANCE = 1e-4
LONGEST = 8
_CHAIN = frozenset({"Mul", "Div", "Add", "Sub", "Clip", "Relu"})


@dataclass(frozen=True)
class _Affine:
    """factor · x + offset, clipped to low .. high; ``value``: the ONNX value x; ``nodes``: the chain, in its order."""

    value: str
    factor: Values
    offset: float = 0.0
    low: float = -inf
    high: float = inf
    nodes: tuple[OnnxNode, ...] = ()


def with_qcfs(graph: OnnxGraph, constants: Mapping[str, Values]) -> OnnxGraph:
    """The graph with every recognised chain as one ``QCFS`` node; others stay, and are refused later by name."""
    uses = graph.consumers()
    makers = {name: node for node in graph.nodes for name in node.outputs if uses[name] == 1}
    takers = {name: node for node in graph.nodes for name in node.inputs if uses[name] == 1}
    made: dict[int, OnnxNode] = {}
    gone: set[int] = set()
    for node in graph.nodes:
        if node.op not in ("Floor", "Round") or len(node.inputs) != 1:
            continue
        # The longest chains that fit: what lies further out belongs to the layers beside.
        pairs = product(_behind(node, takers, constants), _in_front(node, makers, constants))
        for behind, before in sorted(pairs, key=lambda pair: -len(pair[0].nodes) - len(pair[1].nodes)):
            found = _qcfs(node, before, behind)
            if found is not None:
                parts = (*before.nodes, node, *behind.nodes)
                made[id(parts[-1])] = found
                gone |= {id(part) for part in parts}
                break
    kept = (made.get(id(node), node) for node in graph.nodes if id(node) in made or id(node) not in gone)
    return replace(graph, nodes=tuple(kept))


def _in_front(node: OnnxNode, makers: Mapping[str, OnnxNode], constants: Mapping[str, Values]) -> list[_Affine]:
    """What the rounding is given, as a clipped affine map of the value 0, 1, 2, ... nodes before it."""
    chain: list[OnnxNode] = []
    value = node.inputs[0]
    found = [_Affine(value, np.ones(()))]
    while len(chain) < LONGEST and (maker := makers.get(value)) is not None and _follows(maker, constants):
        chain.insert(0, maker)
        value = _signal_of(maker, constants)
        found.append(reduce(partial(_through, constants=constants), chain, _Affine(value, np.ones(()))))
    return found


def _behind(node: OnnxNode, takers: Mapping[str, OnnxNode], constants: Mapping[str, Values]) -> list[_Affine]:
    """What becomes of the rounded numbers after 0, 1, 2, ... nodes, as a clipped affine map of them."""
    value = node.outputs[0]
    found = [_Affine(value, np.ones(()))]
    while len(found) <= LONGEST and (taker := takers.get(value)) is not None and _follows(taker, constants):
        found.append(_through(found[-1], taker, constants))
        value = taker.outputs[0]
    return found


def _follows(node: OnnxNode, constants: Mapping[str, Values]) -> bool:
    """Whether a node is one signal with constants, of a kind that the chain can hold."""
    if node.op not in _CHAIN:
        return False
    others = [name for name in node.inputs if name and name not in constants]
    return len(others) == 1 and (node.op in ("Add", "Mul") or others[0] == node.inputs[0])


def _signal_of(node: OnnxNode, constants: Mapping[str, Values]) -> str:
    return next(name for name in node.inputs if name and name not in constants)


def _through(state: _Affine, node: OnnxNode, constants: Mapping[str, Values]) -> _Affine:
    """The map behind one more node."""
    further = replace(state, nodes=(*state.nodes, node))
    given = [np.asarray(constants[name], np.float64) for name in node.inputs if name in constants]
    match node.op, given:
        case "Relu", _:
            return _clipped(further, 0.0, inf)
        case "Clip", _:
            low, high = (_end(node, k, constants) for k in (1, 2))
            return _clipped(further, -inf if low is None else low, inf if high is None else high)
        case (("Mul" | "Div"), [constant]) if np.all(np.isfinite(constant) & (constant > 0)):
            factor = constant if node.op == "Mul" else 1 / constant
            offset, low, high = (_times(number, factor) for number in (state.offset, state.low, state.high))
            return replace(further, factor=state.factor * factor, offset=offset, low=low, high=high)
        case (("Add" | "Sub"), [constant]) if constant.size == 1:
            shift = float(constant.item()) * (1 if node.op == "Add" else -1)
            return replace(further, offset=state.offset + shift, low=state.low + shift, high=state.high + shift)
    return replace(further, offset=float("nan"))


def _times(number: float, factor: Values) -> float:
    """One number for all channels; NaN, which fails every comparison, where channels would differ."""
    if number == 0 or np.isinf(number):
        return number
    return number * float(factor.flat[0]) if factor.size and np.ptp(factor) == 0 else float("nan")


def _clipped(state: _Affine, low: float, high: float) -> _Affine:
    return replace(state, low=max(state.low, low), high=min(state.high, high))


def _end(node: OnnxNode, index: int, constants: Mapping[str, Values]) -> float | None:
    found = constants.get(node.given(index))
    return None if found is None or found.size != 1 else float(np.asarray(found, np.float64).item())


def _qcfs(node: OnnxNode, before: _Affine, behind: _Affine) -> OnnxNode | None:
    """The one node, if the maps around the rounding are those of a rectifier in levels."""
    half = 0.5 if node.op == "Floor" else 0.0
    scale = float(behind.factor.flat[0]) if behind.factor.size == 1 else 1.0
    # Clips behind the rounding are in units of the output, those in front in units of the number with its half.
    low = max(before.low - half, behind.low / scale)
    high = min(before.high - half, behind.high / scale)
    levels = round(high) if np.isfinite(high) else 0
    fits = (
        abs(before.offset - half) < TOLERANCE
        and behind.offset == 0
        and _near_one(before.factor * behind.factor)
        and abs(low) < TOLERANCE
        and levels >= 1
        and abs(high - levels) < TOLERANCE * levels
        and (behind.factor.size == 1 or np.isinf(behind.high))
    )
    if not fits:
        return None
    ceiling = np.asarray(behind.factor * levels, np.float32)
    last = behind.nodes[-1] if behind.nodes else node
    attributes = {"ceiling": ceiling.reshape(()) if ceiling.size == 1 else ceiling, "levels": levels}
    return OnnxNode("QCFS", last.name, (before.value,), last.outputs, attributes, last.scope)


def _near_one(product: Values) -> bool:
    return bool(np.all(np.abs(product - 1) < TOLERANCE))
