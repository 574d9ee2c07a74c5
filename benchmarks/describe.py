"""Cases written down for simulators that know nothing of spikeport: as layers in floats, and as the chip's integers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import SOURCES, Case, build
from data_folder import data_file
from peers.network_file import save

from spikeport.converters.chip_network import Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.network import Conv, Flatten, Linear, Network, Neuron, Pool

Arrays = dict[str, Any]


def write(name: str, case: Case, data: Path, folder: Path) -> None:
    """Write the case called ``name`` into ``folder``; its float layers are the trained ones where there are any."""
    arrays: Arrays = {"input": next(iter(case.inputs.values())).astype(np.uint8)}
    family = name.split(":")[0]
    if family in SOURCES:
        from spikeport.converters.read.nir import read_nir

        file, dialect = SOURCES[family]
        layers = trained_layers(read_nir(data_file(data, file), dialect), arrays)
    else:
        layers = chip_layers(case, arrays)
    save(folder, {"layers": layers, "chip": chip(case, arrays), "outputs": list(case.outputs)}, arrays)


def chip(case: Case, arrays: Arrays) -> dict[str, Any]:
    """Populations and synapse groups with the chip's own numbers; convolutions are named, not unrolled."""
    network = case.network
    populations = [
        {
            "name": p.name, "size": p.size, "model": p.model, "du": int(p.du.max()), "dv": int(p.dv.max()),
            "vth": int(p.vth.max()), "bias": _keep(arrays, np.broadcast_to(p.bias_mant << p.bias_exp, (p.size,))),
            "uniform": all(np.ptp(x) == 0 for x in (p.du, p.dv, p.vth)), "refractory": p.refractory,
        }
        for p in network.populations.values()
    ]  # fmt: skip
    return {"populations": populations, "groups": [_group(s, arrays) for s in network.synapses.values()]}


def _group(s: Synapses, arrays: Arrays) -> dict[str, Any]:
    about = {"source": s.source, "target": s.target, "exponent": s.weight_exp, "delay": s.max_delay}
    match s.connectivity:
        case Dense(weight):
            return {**about, "kind": "dense", "weight": _keep(arrays, weight)}
        case Sparse(matrix):
            rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            places = {"targets": _keep(arrays, rows), "sources": _keep(arrays, matrix.indices)}
            return {**about, "kind": "sparse", "weight": _keep(arrays, matrix.data), **places}
        case Conv2d():
            return {**about, "kind": "conv"}


def chip_layers(case: Case, arrays: Arrays) -> list[dict[str, Any]]:
    """The chip's network as float layers; weights and thresholds keep their chip values."""
    network, layers = case.network, []
    for p in network.populations.values():
        own = [s for s in network.into(p.name) if s.source == p.name]
        layers += [_operation(s, arrays) for s in network.into(p.name) if s.source != p.name]
        if p.model != "input":
            layers.append(_neuron(p, own, arrays))
    return layers


def _operation(s: Synapses, arrays: Arrays) -> dict[str, Any]:
    gain = 2.0**s.weight_exp
    match s.connectivity:
        case Dense(weight):
            return {"op": "linear", "weight": _keep(arrays, weight * gain)}
        case Conv2d() as c:
            return {
                "op": "conv", "weight": _keep(arrays, c.weight * gain), "stride": c.stride, "padding": c.padding,
                "dilation": c.dilation, "groups": c.groups,
            }  # fmt: skip
        case Sparse(matrix):
            return {"op": "linear", "weight": _keep(arrays, matrix.toarray() * gain)}


def _neuron(p: Population, own: list[Synapses], arrays: Arrays) -> dict[str, Any]:
    found = {
        "op": "neuron", "alpha": float(1 - (p.du.max() + 1) / 4096), "beta": float(1 - p.dv.max() / 4096),
        "threshold": float(p.vth.max()), "size": p.size,
        "bias": _keep(arrays, np.broadcast_to((p.bias_mant << p.bias_exp) / 64, (p.size,))),
    }  # fmt: skip
    for s in own:
        if isinstance(s.connectivity, Sparse):
            m = s.connectivity.matrix
            found["recurrent"] = [_keep(arrays, x) for x in (m.indptr, m.indices, m.data * 2.0**s.weight_exp)]
    return found


def trained_layers(network: Network, arrays: Arrays) -> list[dict[str, Any]]:
    """A trained chain of layers; a Linear that feeds back into its neurons becomes theirs."""
    back = {e.target: e.source for e in network.edges if e.delay}
    return [
        layer
        for name, node in network.nodes.items()
        if name not in back and (layer := _trained(name, node, network, back, arrays)) is not None
    ]


def _trained(name: str, node: Any, network: Network, back: dict[str, str], arrays: Arrays) -> dict[str, Any] | None:
    match node:
        case Linear(weight, bias):
            return {"op": "linear", "weight": _keep(arrays, weight), "bias": _maybe(arrays, bias)}
        case Conv(weight, bias, stride, padding, dilation, groups):
            where = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            return {"op": "conv", "weight": _keep(arrays, weight), "bias": _maybe(arrays, bias), **where}
        case Pool("sum", kernel, stride):
            return {"op": "sumpool", "kernel": kernel, "stride": stride}
        case Flatten():
            return {"op": "flatten"}
        case Neuron() as n:
            size = int(np.prod(network.shapes[name]))
            found = {
                "op": "neuron", "alpha": float(n.current_decay or 0), "beta": float(n.membrane_decay), "size": size,
                "threshold": float(n.threshold), "bias": _keep(arrays, np.broadcast_to(n.bias, (size,))),
                "gain": float(n.input_gain) * float(n.current_gain),
            }  # fmt: skip
            loops = [network.nodes[target] for target, source in back.items() if source == name]
            for loop in loops:
                if isinstance(loop, Linear):
                    found |= {"dense": _keep(arrays, loop.weight), "dense_bias": _maybe(arrays, loop.bias)}
            return found
        case _:
            return None


def _keep(arrays: Arrays, values: Any) -> str:
    name = f"a{len(arrays)}"
    arrays[name] = np.ascontiguousarray(values)
    return name


def _maybe(arrays: Arrays, values: Any) -> str | None:
    return None if values is None else _keep(arrays, values)


if __name__ == "__main__":
    name, data, folder = sys.argv[1:]
    write(name, build(name, Path(data)), Path(data), Path(folder))
