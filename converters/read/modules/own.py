"""Neurons that say themselves what they are: ``to_neuron(name, shape) -> Neuron`` is all they need to offer."""

from __future__ import annotations

from typing import Any

from spikeport.converters.network import Neuron, Shape
from spikeport.converters.read.modules.cells import Cell, Entry
from spikeport.converters.read.modules.values import refuse

OFFERS = "to_neuron"


def _read(where: str, module: Any, shape: Shape) -> Cell:
    """A layer with ``steps`` takes (B · T, *shape); one without takes one step of a batch per call."""
    neuron = module.to_neuron(where, shape)
    if not isinstance(neuron, Neuron):
        refuse(where, f"its to_neuron gives a {type(neuron).__name__}", "Return a Neuron.")
    steps = getattr(module, "steps", None)
    if steps is None:
        return Cell(neuron)
    return Cell(neuron, layout="batch-time", merged=(-1, int(steps)))


ENTRY = Entry("exact", "says itself what it is", _read)
