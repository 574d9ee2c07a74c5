"""variants: outputs of networks between float and chip, gathered batch by batch and scored against the trained one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.circuit import READOUTS
from spikeport.deploy.compare.circuit_float import Trace
from spikeport.deploy.compare.comparison import Variant
from spikeport.deploy.compare.program import Cell, Floats, Program
from spikeport.deploy.decode import Decoder, decode

Train = NDArray[np.floating] | NDArray[np.integer]


def on_input_clock(cell: Cell, train: Floats, length: int) -> Floats:
    """A train or membrane (B, steps, n) from the network's step 0 on, (B, length, n)."""
    return train[:, cell.start : cell.start + length]


def sent_by(cell: Cell, trace: Trace, name: str, length: int) -> Floats:
    """What a layer sends (B, T, n), in trained units: spikes, or changes of sigma-delta units."""
    return on_input_clock(cell, trace.spikes[name], length) * cell.message


def output_of(program: Program, trace: Trace, name: str, length: int) -> Floats:
    """The output (B, T, n): spikes, or the membrane (or sum) in trained units where the population is a readout."""
    cell = program.cells[name]
    if cell.model in READOUTS:
        return on_input_clock(cell, trace.v[name], length) / cell.unit + cell.offset
    return on_input_clock(cell, trace.spikes[name], length)


class VariantTally:
    """Classes and distances of one variant; the reference's outputs come with every batch."""

    def __init__(self, decoder: Decoder, readout: bool) -> None:
        self.decoder, self.readout = decoder, readout
        self.classes: list[NDArray[np.int64]] = []
        self.apart = self.size = 0.0
        self.layers: dict[str, list[float]] = {}

    def add(self, output: Floats, reference: Floats, trains: Mapping[str, Train], known: Mapping[str, Floats]) -> None:
        """One batch: outputs (B, T, n), and per spiking layer trains (B, T, n) against the trained network's."""
        self.classes.append(decode(self.decoder, output).classes)
        power = 2 if self.readout else 1
        self.apart += float((np.abs(output - reference) ** power).sum())
        self.size += float((np.abs(reference) ** power).sum())
        for name, train in known.items():
            wrong, all_spikes = self.layers.setdefault(name, [0.0, 0.0])
            self.layers[name] = [wrong + float(np.abs(trains[name] - train).sum()), all_spikes + float(train.sum())]

    def finish(self, trained: NDArray[np.int64], truth: NDArray[np.int64]) -> Variant:
        """The variant; ``trained``: classes of the trained network; ``truth``: the right ones."""
        classes = np.concatenate(self.classes)
        root = 0.5 if self.readout else 1.0
        return Variant(
            accuracy=float((classes == truth).mean()),
            changed=int((classes != trained).sum()),
            mismatch=_share(self.apart, self.size) ** root,
            layers={name: _share(*sums) for name, sums in self.layers.items()},
        )


def _share(apart: float, size: float) -> float:
    return apart / size if size else float(apart > 0)
