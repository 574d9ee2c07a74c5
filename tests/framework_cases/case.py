"""A net of some framework with an input, and how its recorded layers compare with the Network read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.converters.network import Network, Neuron
from spikeport.converters.read.modules.leaf import tensors_in
from spikeport.converters.read.modules.read import read_module
from spikeport.converters.read.modules.state import forget, left_as_found, named_modules
from spikeport.converters.read.nir import read_nir
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.backends.float import run_float
from spikeport.errors import SpikeportError, UnsupportedNodeError

Layout = Literal["TB", "BT", "step", "static", "merged"]
BATCH, STEPS = 3, 12


@dataclass(frozen=True)
class Case:
    """One net.

    Attributes:
        layer: what it is about, as the table calls it.
        name: which variant.
        make: gives the module and spikes (B, T, *shape).
        layout: what the module takes: the whole sequence in that order of axes, one step per call, one step that it
            repeats STEPS times itself, or (B · T, *shape).
        refused: a part of the message with which it has to be refused; "" where it has to be read.
        rounding: share of spikes that may differ because the framework rounds otherwise; 0 for none.
        state: whether a step returns the state that the next call takes.
        sample: what ``read_module`` is given where that is not the input.
    """

    layer: str
    name: str
    make: Callable[[], tuple[nn.Module, Tensor]]
    layout: Layout = "TB"
    refused: str = ""
    rounding: float = 0.0
    state: bool = False
    sample: Callable[[Tensor], Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        spikes: how many the framework sent, in all layers; compared: how many values; wrong: how many differ.
        message: why it was refused, or "".
        findings: codes of what the reader said.
        exchanged: "exact" where NIR gave it back; else why it is no NIR file.
        others: what the ``nir`` package said to the file; "" for nothing, it read it.
    """

    spikes: int = 0
    compared: int = 0
    wrong: int = 0
    message: str = ""
    findings: tuple[str, ...] = ()
    exchanged: str = ""
    others: str = ""
    network: Network | None = field(default=None, repr=False)


def arrange(x: Tensor, layout: Layout) -> Tensor:
    """Spikes (B, T, *shape) as the module takes them; one step for modules that take one."""
    match layout:
        case "TB":
            return x.transpose(0, 1).contiguous()
        case "merged":
            return x.flatten(0, 1)
        case "step" | "static":
            return x[:, 0].contiguous()
        case _:
            return x


def run_case(case: Case) -> Outcome:
    """Read the net, run both, compare every layer; write it as NIR, read that back and compare again."""
    torch.manual_seed(0)
    module, x = case.make()
    given = arrange(x, case.layout)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    try:
        network = read_module(module, case.sample(given) if case.sample else given)
    except SpikeportError as error:
        return Outcome(message=str(error))
    after = module.state_dict()
    assert set(after) == set(before), "reading changed the module"
    assert all(torch.equal(after[k], before[k]) for k in before), "reading changed the module"
    recorded = record(module, x, case)
    codes = tuple(f.code for f in network.findings)
    static = case.layout == "static"
    inputs = np.repeat(x[:, :1].numpy(), x.shape[1], 1) if static else x.numpy()
    wrong, compared, spikes = compare(network, inputs, recorded)
    exchanged, others = _exchange(network, inputs, recorded, wrong)
    return Outcome(spikes, compared, wrong, "", codes, exchanged, others, network)


def _exchange(network: Network, inputs: np.ndarray, recorded: Mapping[str, np.ndarray], wrong: int) -> tuple[str, str]:
    """Write as NIR, read back, run again; and let the ``nir`` package read the file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        try:
            write_nir(network, path)
        except UnsupportedNodeError as error:
            # NIR has no word for activations and max pools.
            return str(error), ""
        again = read_nir(path)
        others = _by_nir(path)
    assert again.edges == network.edges, "NIR changed the edges"
    assert compare(again, inputs, recorded)[0] == wrong, "the NIR file behaves otherwise"
    return "exact", others


def _by_nir(path: Path) -> str:
    nir = import_module("nir")
    try:
        nir.read(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def record(module: nn.Module, x: Tensor, case: Case) -> Mapping[str, np.ndarray]:
    """The framework's own outputs of each layer, (B, T, *shape), by module path."""
    seen: dict[str, list[Tensor]] = {}

    def keep(path: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: Any, out: Any) -> None:
            found = [t for _, t in tensors_in(out)]
            seen.setdefault(path, []).extend(
                t.detach().clone() for t in (found if isinstance(out, list) else found[:1])
            )

        return hook

    handles = [part.register_forward_hook(keep(path)) for path, part in named_modules(module)]
    try:
        with left_as_found(module):
            forget(module)
            _run(module, x, case)
    finally:
        for handle in handles:
            handle.remove()
    return {path: _in_order(series, x, case).numpy() for path, series in seen.items() if _whole(series, x, case)}


def _run(module: nn.Module, x: Tensor, case: Case) -> None:
    if case.layout != "step":
        module(arrange(x, case.layout))
        return
    state: tuple[Any, ...] = ()
    for t in range(x.shape[1]):
        out = module(x[:, t], *state)
        state = (out[1],) if case.state else ()


def _whole(series: list[Tensor], x: Tensor, case: Case) -> bool:
    return len(series) in (1, x.shape[1])


def _in_order(series: list[Tensor], x: Tensor, case: Case) -> Tensor:
    if len(series) == x.shape[1]:
        return torch.stack(series, 1)
    match case.layout:
        case "merged":
            return series[0].unflatten(0, tuple(x.shape[:2]))
        case "TB" | "static":
            return series[0].transpose(0, 1)
        case _:
            return series[0]


def compare(network: Network, inputs: np.ndarray, recorded: Mapping[str, np.ndarray]) -> tuple[int, int, int]:
    """Values that differ, values compared, and spikes, over all neurons of the Network."""
    names = [n for n in network.neurons if not n.endswith((".membrane", ".synapses"))]
    run = run_float(network, inputs, record=names)
    wrong = compared = spikes = 0
    for name in names:
        node = network.nodes[name]
        assert isinstance(node, Neuron)
        there = recorded["" if name == "neuron" else name]
        factor = _factor(network, name)
        here = run.spikes[name] * factor if node.spiking else run.membranes[name]
        assert here.shape == there.shape, f"{name}: {here.shape} here, {there.shape} there"
        same = here == there if node.spiking else np.isclose(here, there, rtol=1e-4, atol=1e-5)
        wrong += int((~same).sum())
        compared += there.size
        spikes += int(there.sum()) if node.spiking else 0
    return wrong, compared, spikes


def _factor(network: Network, name: str) -> np.ndarray | float:
    """What the framework multiplies a layer's spikes with before it gives them out."""
    after = [network.nodes[e.target] for e in network.out_of(name) if e.target == f"{name}.graded_spikes_factor"]
    return getattr(after[0], "factor", 1.0) if after else 1.0


def spikes(*shape: int, rate: float = 0.3, steps: int = STEPS) -> Tensor:
    """Random spikes (B, T, *shape)."""
    return (torch.rand(BATCH, steps, *shape) < rate).float()


def strengthened(module: nn.Module, factor: float) -> nn.Module:
    """The module with larger weights, so that its neurons fire."""
    with torch.no_grad():
        for part in nn.Module.modules(module):
            if isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d)):
                part.weight.mul_(factor)
    return module


def assert_case(case: Case) -> Outcome:
    """What has to hold of a case.

    Raises:
        AssertionError: it is refused for another reason, or read where it should be refused, or its spikes differ.
    """
    found = run_case(case)
    if case.refused:
        assert case.refused in found.message, found.message or "it was read"
        return found
    assert not found.message, found.message
    assert found.wrong <= case.rounding * found.compared, f"{found.wrong} of {found.compared} values differ"
    return found
