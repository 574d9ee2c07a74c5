"""read_onnx: a conventional network in an ONNX file becomes a Network of linear maps, Activations and MaxPools.

Everything is per sample: the batch axis is dropped. What the file computes on the way (shapes, weights out of
quantizers) is computed here; what it cannot mean on a chip is refused, all such nodes at once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeport.converters.network import Edge, Input, Network, Output
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.onnx.build import Build, Signal
from spikeport.converters.read.onnx.constants import Budget, evaluate
from spikeport.converters.read.onnx.file import read_file
from spikeport.converters.read.onnx.graph import OnnxGraph, OnnxInput, OnnxNode
from spikeport.converters.read.onnx.names import Names
from spikeport.converters.read.onnx.operators import RULES, refusal
from spikeport.converters.read.onnx.qcfs import with_qcfs
from spikeport.converters.read.onnx.tensors import Values
from spikeport.errors import ModelError, UnsupportedNodeError

# A conventional network has no time; one step is one image until `convert` says more.
DT = 1e-3
MOST_PROBLEMS = 20
LONGEST_PROBLEM = 500
_ENDS = frozenset({"Softmax", "LogSoftmax", "ArgMax"})
_BEHIND_ENDS = _ENDS | {"Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten"}


def read_onnx(path: Path) -> Network:
    """Read an ``.onnx`` file.

    Returns:
        A Network whose float execution equals the file's, per sample and but for rounding; what was left out or
        assumed is in its findings.

    Raises:
        ModelError: no readable ONNX, damaged, or a graph whose meaning is not clear.
        UnsupportedNodeError: operators that are not read, all of them at once, by node.
    """
    graph, sha256 = read_file(Path(path))
    budget = Budget()
    known = _static(graph, budget)
    graph = with_qcfs(graph, known)
    names = Names(node for node in graph.nodes if node.outputs[0] not in known)
    build = Build(graph, _batch(graph), names, {**known}, ending=_ending(graph), budget=budget)
    for given in graph.inputs:
        _enter(given, build)
    with np.errstate(all="ignore"):  # what is not finite is refused, by name
        _walk(build, Path(path).name)
    _leave(build)
    if build.quantized:
        said = f"{len(build.quantized)} weights are stored quantized ({', '.join(build.quantized[:3])}"
        build.say("weights-dequantized", "", f"{said}{', ...' if len(build.quantized) > 3 else ''}); read exactly.")
    edges = tuple(build.edges)
    network = Network(build.nodes, edges, {}, DT, "onnx", sha256, tuple(build.findings))
    return infer(network).result


# ---- before the walk ----------------------------------------------------------------------------------------------


def _static(graph: OnnxGraph, budget: Budget) -> dict[str, Values]:
    """What depends on no input, of what can be computed."""
    used = {name for node in graph.nodes for name in node.inputs}
    found: dict[str, Values] = {name: graph.tensors[name] for name in graph.tensors if name in used}
    for node in graph.nodes:
        if all(not name or name in found for name in node.inputs):
            try:
                found[node.outputs[0]] = evaluate(node, [found.get(name) for name in node.inputs], budget)
            except ModelError:
                continue
    return found


def _batch(graph: OnnxGraph) -> int:
    """Size of the first axis of all inputs; 1 where it is open."""
    sizes = {given.shape[0] or 1 for given in graph.inputs if given.shape}
    if len(sizes) != 1:
        raise ModelError(f"the inputs {', '.join(g.name for g in graph.inputs)} have no common first axis, the batch.")
    return sizes.pop()


def _ending(graph: OnnxGraph) -> frozenset[str]:
    """Values behind which only softmax, argmax and what re-orders their results stand."""
    blocked: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op not in _BEHIND_ENDS or blocked.intersection(node.outputs):
            blocked.update(node.inputs)
    return frozenset(name for node in graph.nodes for name in node.outputs if name not in blocked)


def _enter(given: OnnxInput, build: Build) -> None:
    shape = tuple(n for n in given.shape[1:] if n is not None)
    if len(given.shape) < 2 or len(shape) != len(given.shape) - 1:
        raise ModelError(
            f"input '{given.name}' has the shape {given.shape}; a batch axis and fixed sizes are needed. Export the "
            "model with a sample of the size that it will see; only the batch axis may be dynamic."
        )
    name = build.names.of_end(given.name, "input")
    build.nodes[name] = Input(shape)
    build.values[given.name] = Signal((name,), shape, name)


# ---- the walk -----------------------------------------------------------------------------------------------------


def _walk(build: Build, file: str) -> None:
    """Every node in order; nodes behind a refused one are passed over, so that all refusals come at once."""
    problems: list[str] = []
    unknown = False
    lost: set[str] = set()
    for node in build.graph.nodes:
        try:
            if lost.isdisjoint(node.inputs):
                _read(node, build)
                continue
            if node.op not in RULES:
                raise UnsupportedNodeError(refusal(node))
        except ModelError as problem:
            problems.append(shortened(str(problem)))
            unknown = unknown or isinstance(problem, UnsupportedNodeError)
        lost.update(node.outputs)
    if problems:
        raise (UnsupportedNodeError if unknown else ModelError)(_listed(problems, file))


def _listed(problems: list[str], file: str) -> str:
    if len(problems) == 1:
        return f"{file}: {problems[0]}"
    more = f"\n  and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
    return f"{file}: {len(problems)} nodes cannot be read:\n  " + "\n  ".join(problems[:MOST_PROBLEMS]) + more


def shortened(text: str) -> str:
    """A message, cut in its middle: what it is about and what to do stay."""
    half = LONGEST_PROBLEM // 2
    return text if len(text) <= LONGEST_PROBLEM else f"{text[:half]} ... {text[-half:]}"


def _read(node: OnnxNode, build: Build) -> None:
    """Say what the first output of a node is; others exist in training only, or are refused where they are read."""
    held = build.signals(node)
    if not held and node.op != "QCFS":
        if node.outputs[0] not in build.values:
            given = [build.value(name) for name in node.inputs]
            build.values[node.outputs[0]] = evaluate(node, given, build.budget)
        _remember_origin(node, build)
    elif ended := next((s for k in held if isinstance(s := build.values[node.inputs[k]], Signal) and s.ended), None):
        build.values[node.outputs[0]] = ended
    elif node.op in RULES:
        build.values[node.outputs[0]] = RULES[node.op](node, build)
    else:
        raise UnsupportedNodeError(refusal(node))


def _remember_origin(node: OnnxNode, build: Build) -> None:
    """Weights keep the name they are stored under through what is computed with them."""
    source = build.origin(node, 0)
    if source in build.graph.tensors:
        build.origins[node.outputs[0]] = source
    if node.op in ("DequantizeLinear", "Quant", "BipolarQuant"):
        build.quantized.append(source or node.outputs[0])


# ---- after the walk -----------------------------------------------------------------------------------------------


def _leave(build: Build) -> None:
    """An Output for every output; where the file declares another shape than its nodes give, it contradicts itself."""
    for given, declared in build.graph.outputs.items():
        value = build.value(given)
        if not isinstance(value, Signal):
            raise ModelError(f"the output '{given}' does not depend on the input. Export the model again.")
        sizes = None if declared is None else declared[1:]
        if sizes and not value.ended and not _agree(sizes, value.shape):
            raise ModelError(f"the output '{given}' is declared {sizes} per sample, but its nodes give {value.shape}.")
        name = build.names.of_end(given, "output")
        build.nodes[name] = Output(value.shape)
        build.edges += [Edge(source, name) for source in value.sources]


def _agree(declared: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(declared) == len(shape) and all(d in (None, n) for d, n in zip(declared, shape, strict=True))
