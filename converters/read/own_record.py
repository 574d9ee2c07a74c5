"""spikeport's own record in a NIR file's metadata: the exact discrete neurons, so that its files read back equal.

NIR's fields stay the truth for everybody else. A record carries a hash of the fields it was written beside; where
another program changed those, the record is set aside and said so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spikeport.converters.findings import Finding
from spikeport.converters.network import Edge, Neuron
from spikeport.converters.read.nir_file import RawFile, RawNode

RECORD = "spikeport"
FORMAT = 1


@dataclass(frozen=True)
class OwnRecord:
    """What the file says about itself.

    Attributes:
        dialect: in full, dt included; None where there is no usable record.
        neurons: by name, in the exact form they had when written.
        edges: with their delays; None where there is no record.
        findings: why a record could not be used.
        encode, decode: how data enter and answers leave, where the network was made for one way.
    """

    dialect: str | None
    neurons: Mapping[str, Neuron]
    edges: tuple[Edge, ...] | None
    findings: tuple[Finding, ...]
    encode: str = ""
    decode: str = ""


NO_RECORD = OwnRecord(None, {}, None, ())


def own_record(raw: RawFile, nodes: Mapping[str, RawNode]) -> OwnRecord:
    """The record in a file, if there is one and the file is still as it was written."""
    text = raw.metadata.get(RECORD)
    if not isinstance(text, str):
        return NO_RECORD
    try:
        head = json.loads(text)
        if head["format"] != FORMAT or head["hash"] != nodes_hash(nodes):
            return _set_aside("the nodes were changed after spikeport wrote them")
        neurons = {n: _neuron(node) for n, node in nodes.items() if RECORD in node.metadata}
        edges = tuple(Edge(str(a), str(b), int(d)) for a, b, d in head["edges"])
        codes = (str(head.get(key, "")) for key in ("encode", "decode"))
        return OwnRecord(str(head["dialect"]), neurons, edges, (), *codes)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        return _set_aside(f"it is damaged ({type(error).__name__})")


def _set_aside(why: str) -> OwnRecord:
    message = f"spikeport's own record in the file is not used: {why}."
    finding = Finding("own-record-ignored", "warning", "", message, "Name the dialect to be sure of the reading.")
    return OwnRecord(None, {}, None, (finding,))


def nodes_hash(nodes: Mapping[str, RawNode]) -> str:
    """SHA-256 over every node's name, type, NIR fields and metadata."""
    digest = hashlib.sha256()
    for name in sorted(nodes):
        node = nodes[name]
        digest.update(json.dumps([name, node.type]).encode())
        for source in (node.fields, node.metadata):
            for field in sorted(source):
                value = source[field]
                array = value if isinstance(value, str) else np.ascontiguousarray(value, np.float64).tobytes().hex()
                digest.update(json.dumps([field, array]).encode())
    return digest.hexdigest()


def neuron_metadata(neuron: Neuron) -> dict[str, Any]:
    """A Neuron as metadata: arrays as datasets, everything else in one JSON text."""
    arrays = {
        f.name: getattr(neuron, f.name) for f in fields(neuron) if isinstance(getattr(neuron, f.name), np.ndarray)
    }
    plain = {f.name: getattr(neuron, f.name) for f in fields(neuron) if f.name not in arrays}
    return {RECORD: json.dumps(plain, sort_keys=True), **{f"{RECORD}_{k}": v for k, v in arrays.items()}}


def _neuron(node: RawNode) -> Neuron:
    plain = json.loads(str(node.metadata[RECORD]))
    prefix = f"{RECORD}_"
    arrays = {
        k.removeprefix(prefix): np.asarray(v, np.float32) for k, v in node.metadata.items() if k.startswith(prefix)
    }
    neuron = Neuron(**(plain | arrays))
    sane = neuron.reset in ("value", "subtract", "none") and neuron.comparison in (">", ">=")
    if not sane or not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("not a neuron")
    return neuron
