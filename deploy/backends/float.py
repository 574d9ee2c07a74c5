"""The float executor: a Network step by step in torch, as its framework would run it. The yardstick for every chip.

Differentiable, so the same code serves fine-tuning: spikes have a surrogate gradient
(`spikeport.deploy.backends.float_neuron`). All arithmetic is float32, in the order of the `Neuron` docstring.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikeport.converters.network import Delay, Input, Network, Neuron, Node, SigmaDelta, SparseMap
from spikeport.deploy.backends.float_memoryless import MEMORYLESS
from spikeport.deploy.backends.float_neuron import late_value_reset, reset, spikes_of
from spikeport.deploy.backends.float_sigma_delta import Held, at_rest, sigma_delta
from spikeport.errors import DataError

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FloatRun:
    """What a float run gave, by node name; every array is (B, T, *shape).

    Attributes:
        outputs: of every Output node.
        spikes: spikes per step of the recorded spiking neurons; changes that recorded sigma-delta units sent.
        membranes: v after the step of the recorded neurons; activations of the sigma-delta units.
    """

    outputs: Mapping[str, Floats]
    spikes: Mapping[str, Floats]
    membranes: Mapping[str, Floats]


def run_float(
    network: Network,
    inputs: NDArray[Any] | Mapping[str, NDArray[Any]],
    record: Collection[str] = (),
    progress: Progress | None = None,
) -> FloatRun:
    """Run a batch.

    Args:
        network: inferred and checked.
        inputs: (B, T, *shape), or one such array per Input node.
        record: names of neurons and sigma-delta units whose spikes and membranes are kept.
        progress: called with (steps done, steps in all) after each step.

    Raises:
        DataError: inputs that do not match the network, or a name in ``record`` that is no neuron.
    """
    given = {k: torch.from_numpy(np.array(v, np.float32)) for k, v in _by_name(network, inputs).items()}
    with torch.no_grad():
        outputs, spikes, membranes = run_tensors(network, given, record, progress)
    return FloatRun(*({k: v.numpy() for k, v in part.items()} for part in (outputs, spikes, membranes)))


def run_tensors(
    network: Network,
    inputs: Mapping[str, Tensor],
    record: Collection[str] = (),
    progress: Progress | None = None,
    parameters: Mapping[tuple[str, str], Tensor] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """As `run_float`, on tensors and with gradients: outputs, spikes, membranes.

    ``parameters`` replaces single arrays, for example ``{("fc1", "weight"): tensor}``.
    """
    batch, steps = _checked(network, inputs, record)
    machine = _Machine(network, batch, parameters or {}, next(iter(inputs.values())).device)
    kept: tuple[dict[str, list[Tensor]], ...] = ({k: [] for k in network.outputs}, {}, {})
    for name in record:
        node = network.nodes[name]
        if getattr(node, "spiking", False) or getattr(node, "sends_changes", False):
            kept[1][name] = []
        kept[2][name] = []
    for t in range(steps):
        values = machine.step({k: v[:, t] for k, v in inputs.items()})
        for part, source in zip(kept, (values, values, machine.v), strict=True):
            for name, series in part.items():
                series.append(source[name])
        if progress is not None:
            progress(t + 1, steps)
    outputs, spikes, membranes = ({k: torch.stack(v, 1) for k, v in part.items()} for part in kept)
    return outputs, spikes, membranes


def _by_name(network: Network, inputs: NDArray[Any] | Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    if isinstance(inputs, Mapping):
        return inputs
    if len(network.inputs) != 1:
        raise DataError(f"the network has the inputs {', '.join(network.inputs)}; give one array for each by name.")
    return {network.inputs[0]: inputs}


def _checked(network: Network, inputs: Mapping[str, Tensor], record: Collection[str]) -> tuple[int, int]:
    """B and T, after everything about the call was found to fit."""
    if set(inputs) != set(network.inputs):
        raise DataError(f"inputs given for {sorted(inputs)}, but the network's are {sorted(network.inputs)}.")
    for name, tensor in inputs.items():
        shape = network.shapes[name]
        if tensor.shape[2:] != shape or tensor.ndim != len(shape) + 2:
            raise DataError(
                f"input '{name}' needs the shape (B, T, {', '.join(map(str, shape))}), but is {tuple(tensor.shape)}."
            )
        if not torch.isfinite(tensor).all():
            raise DataError(f"input '{name}' has values that are NaN or infinite. Clean the data.")
    sizes = {tuple(t.shape[:2]) for t in inputs.values()}
    if len(sizes) != 1 or 0 in next(iter(sizes)):
        raise DataError(f"inputs need one common batch and number of steps of at least 1, but have {sorted(sizes)}.")
    for name in record:
        if name not in (recordable := (*network.neurons, *network.units)):
            raise DataError(f"'{name}' is no neuron; those that can be recorded: {', '.join(recordable)}.")
    batch, steps = next(iter(sizes))
    return batch, steps


class _Machine:
    """A Network with its state: membranes ``v``, currents ``u``, and as much past as delays ask for."""

    def __init__(
        self, network: Network, batch: int, replaced: Mapping[tuple[str, str], Tensor], device: torch.device
    ) -> None:
        self.network = network
        self.arrays = {name: _tensors(name, node, replaced, device) for name, node in network.nodes.items()}
        self.zeros = {n: torch.zeros((batch, *shape), device=device) for n, shape in network.shapes.items()}
        self.sources = {n: network.into(n) for n in network.nodes}
        self.past = {n: self._silence(n) for n in network.nodes}
        self.v: dict[str, Tensor] = {}
        self.u: dict[str, Tensor] = {}
        self.refires: dict[str, Tensor] = {}
        for name in network.neurons:
            own = self.arrays[name]
            self.v[name] = self.zeros[name] + own["v_init"]
            self.u[name] = self.zeros[name] + own["u_init"]
            self.refires[name] = self._reset_due(name)
        self.held: dict[str, Held] = {name: at_rest(self.zeros[name]) for name in network.units}
        # Past inputs of Delay nodes, newest last: (deepest + 1, B, *shape).
        self.lines = {
            name: self.zeros[name].expand(int(node.steps.max()) + 1, *self.zeros[name].shape)
            for name, node in network.nodes.items()
            if isinstance(node, Delay)
        }

    def _silence(self, name: str) -> deque[Tensor]:
        """The past of a node's output, newest first, zero before the start."""
        deepest = max((e.delay for e in self.network.out_of(name)), default=0)
        return deque([self.zeros[name]] * deepest, maxlen=deepest)

    def step(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One time step of every node; returns every node's output."""
        values: dict[str, Tensor] = {}
        waiting: list[str] = []
        for name, node in self.network.nodes.items():
            if isinstance(node, Input):
                values[name] = inputs[name]
            elif isinstance(node, Neuron):
                values[name] = self._neuron(name, node, self._sum(name, values))
            elif isinstance(node, SigmaDelta):
                values[name], held = sigma_delta(node, self.arrays[name], self.held[name], self._sum(name, values))
                self.held[name], self.v[name] = held, held.activation
            elif isinstance(node, Delay):
                values[name] = self._delay(name, values, waiting)
            else:
                values[name] = MEMORYLESS[type(node)](node, self.arrays[name], self._sum(name, values))
        for name in waiting:
            self._remember(name, self._sum(name, values))
        for name, past in self.past.items():
            if past.maxlen:
                past.appendleft(values[name])
        return values

    def _sum(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        """What arrives: now, or as it was ``delay`` steps ago."""
        found = [self.past[e.source][e.delay - 1] if e.delay else values[e.source] for e in self.sources[name]]
        total = found[0]
        for other in found[1:]:
            total = total + other
        return total

    def _delay(self, name: str, values: Mapping[str, Tensor], waiting: list[str]) -> Tensor:
        """A line of past inputs. Where every element waits, the present input is not needed yet (it may be a cycle)."""
        steps = self.arrays[name]["steps"]
        if int(steps.min()) == 0:
            self._remember(name, self._sum(name, values))
            shift = 0
        else:
            waiting.append(name)
            shift = 1
        line = self.lines[name]
        index = (line.shape[0] - 1 + shift - steps).broadcast_to(line.shape[2:]).expand(line.shape[1:])
        return torch.gather(line, 0, index.unsqueeze(0))[0]

    def _remember(self, name: str, value: Tensor) -> None:
        self.lines[name] = torch.cat([self.lines[name][1:], value.unsqueeze(0)])

    def _reset_due(self, name: str) -> Tensor:
        """r[t]: does the membrane, as the step left it, pass the threshold."""
        node, own = self.network.nodes[name], self.arrays[name]
        if not isinstance(node, Neuron) or not (node.reset_delay or node.reset_carries):
            return self.zeros[name]
        return spikes_of(self.v[name].detach(), own["threshold"], node)

    def _neuron(self, name: str, node: Neuron, x: Tensor) -> Tensor:
        """One step of the `Neuron` docstring; a line here is a line there."""
        own = self.arrays[name]
        u = own["input_gain"] * x
        if node.current_decay is not None:
            u = own["current_decay"] * self.u[name] + u
            self.u[name] = u
        w = own["membrane_decay"] * self.v[name] + own["current_gain"] * u + own["bias"]
        due = self.refires[name]
        if node.spiking and node.reset == "subtract" and (node.reset_delay or node.reset_carries):
            w = w - due * own["threshold"]
        elif node.spiking and node.reset == "value" and node.reset_delay:
            w = late_value_reset(node, own, w, due, self.v[name], u)
        spikes = spikes_of(w, own["threshold"], node) if node.spiking else w
        v = w if not node.spiking or node.reset_delay else reset(node, own, w, spikes, due)
        if node.v_min is not None:
            # Sinabs' own form: its rounding differs from a plain maximum, and at a threshold that can show.
            v = functional.relu(v - own["v_min"]) + own["v_min"]
        self.v[name] = v
        self.refires[name] = self._reset_due(name)
        return spikes if node.spiking else v


def _tensors(
    name: str, node: Node, replaced: Mapping[tuple[str, str], Tensor], device: torch.device
) -> dict[str, Tensor]:
    """A node's arrays as tensors, float32 but for step counts."""
    found = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if (name, field.name) in replaced:
            found[field.name] = replaced[name, field.name]
        elif isinstance(value, (np.ndarray, np.generic)):
            kind = np.int64 if value.dtype.kind == "i" else np.float32
            found[field.name] = torch.from_numpy(np.array(value, kind)).to(device)
    if isinstance(node, SparseMap):
        coo = node.matrix.tocoo()
        index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
        values = torch.from_numpy(coo.data.astype(np.float32))
        found["matrix"] = torch.sparse_coo_tensor(index, values, coo.shape, check_invariants=True).to(device).coalesce()
    return found
