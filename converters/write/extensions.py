"""Node types that NIR does not have, as spikeport writes them; read by `spikeport.converters.read.extensions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spikeport.converters.findings import Finding
from spikeport.converters.network import Embed, Network, Permute, Reshape, SigmaDelta
from spikeport.converters.read.extensions import FLAGS

Written = tuple[str, dict[str, Any]]


def _sigma_delta(node: SigmaDelta) -> Written:
    flags = {name: np.asarray(int(getattr(node, name))) for name in FLAGS}
    return "SigmaDelta", {"threshold": node.threshold, "bias": node.bias, **flags}


EXTENSION_WRITERS: Mapping[type, Callable[[Any], Written]] = {
    SigmaDelta: _sigma_delta,
    Reshape: lambda node: ("Reshape", {"shape": np.asarray(node.shape)}),
    Permute: lambda node: ("Permute", {"axes": np.asarray(node.axes)}),
    Embed: lambda node: ("Embed", {"shape": np.asarray(node.shape), "offset": np.asarray(node.offset)}),
}


def extensions_used(network: Network) -> tuple[Finding, ...]:
    """Says so where other programs will not read the file."""
    used = {name: type(node).__name__ for name, node in network.nodes.items() if type(node) in EXTENSION_WRITERS}
    if not used:
        return ()
    message = f"NIR has no {', '.join(sorted(set(used.values())))}; programs other than spikeport refuse this file."
    advice = "Convert with --to spiking for a file that others read." if "SigmaDelta" in used.values() else ""
    return (Finding("nir-extension", "warning", ", ".join(used), message, advice),)
