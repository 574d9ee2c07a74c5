"""Node types that NIR does not have, as spikeport writes them; read by `spikeport.converters.read.extensions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spikeport.converters.findings import Finding
from spikeport.converters.network import Embed, Network, Node, Permute, Reshape, Scale, SigmaDelta
from spikeport.converters.read.extensions import FLAGS

Written = tuple[str, dict[str, Any]]


def _sigma_delta(node: SigmaDelta) -> Written:
    flags = {name: np.asarray(int(getattr(node, name))) for name in FLAGS}
    return "SigmaDelta", {"threshold": node.threshold, "bias": node.bias, **flags}


_WRITERS: Mapping[type, Callable[[Any], Written]] = {
    SigmaDelta: _sigma_delta,
    Reshape: lambda node: ("Reshape", {"shape": np.asarray(node.shape)}),
    Permute: lambda node: ("Permute", {"axes": np.asarray(node.axes)}),
    Embed: lambda node: ("Embed", {"shape": np.asarray(node.shape), "offset": np.asarray(node.offset)}),
    Scale: lambda node: ("ScaleShift", {"scale": node.factor, "bias": node.bias}),
}


def extension(node: Node) -> Written | None:
    """A node in words that only spikeport has; None where NIR has its own."""
    if type(node) not in _WRITERS or (isinstance(node, Scale) and node.bias is None):
        return None
    return _WRITERS[type(node)](node)


def extensions_used(network: Network) -> tuple[Finding, ...]:
    """Says so where other programs will not read the file."""
    used = {name: written[0] for name, node in network.nodes.items() if (written := extension(node)) is not None}
    if not used:
        return ()
    message = f"NIR has no {', '.join(sorted(set(used.values())))}; programs other than spikeport refuse this file."
    advice = "Convert with --to spiking for a file that others read." if "SigmaDelta" in used.values() else ""
    return (Finding("nir-extension", "warning", ", ".join(used), message, advice),)
