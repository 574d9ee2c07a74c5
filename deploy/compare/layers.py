"""layers: how far one layer on the chip is from the same layer as trained, summed up over batches of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.compare.distances import edits, van_rossum
from spikeport.deploy.compare.program import Floats

Sends: TypeAlias = Literal["spikes", "changes", "nothing"]


@dataclass(frozen=True)
class Measure:
    """How distances are taken, in steps.

    Attributes:
        tau: van Rossum's time constant.
        cost: Victor and Purpura's cost of moving a spike by one step (0.1: up to 20 steps are worth moving).
        window: spikes of one neuron this far apart are still coincident.
    """

    tau: float = 10.0
    cost: float = 0.1
    window: int = 2


MEASURE = Measure()


@dataclass(frozen=True)
class LayerComparison:
    """One layer over all samples. Membranes are in the trained network's units, after resets.

    Attributes:
        layer, neurons: the user's name, and how many.
        sends: "spikes"; "changes" of sigma-delta units, each counted as one spike here; "nothing" where it is read out
            and only the membrane figures mean anything. A sigma-delta unit's membrane is its activation.
        float_spikes, chip_spikes: in all; rates are per neuron and step.
        shared: spikes of the same neuron in the same step, as a share of the larger count (1 where there are none).
        coincident: twice the pairs of spikes within the window, as a share of all spikes of both; None if not counted.
        van_rossum: mean distance per spike train.
        victor_purpura: mean distance per spike train; None where trains have too many spikes.
        victor_purpura_share: the same as a share of the most it could be, all spikes of both.
        membrane_rms, membrane_worst: distance of the membranes, over all neurons and steps.
        membrane_rms_before: RMS of it before the sample's first differing spike in any layer: what arithmetic alone
            does; None where every sample begins with a difference.
        threshold: median distance of the threshold from the reset, to hold those against; None for readouts.
        differing_samples: samples in which any spike of the layer differs.
    """

    layer: str
    neurons: int
    sends: Sends
    float_spikes: int
    chip_spikes: int
    float_rate: float
    chip_rate: float
    shared: float
    coincident: float | None
    van_rossum: float
    victor_purpura: float | None
    victor_purpura_share: float | None
    membrane_rms: float
    membrane_worst: float
    membrane_rms_before: float | None
    threshold: float | None
    differing_samples: int


class LayerTally:
    """Adds up batches of one layer; `finish` makes the `LayerComparison`."""

    def __init__(self, layer: str, sends: Sends, threshold: float | None, measure: Measure) -> None:
        self.layer, self.sends, self.threshold, self.measure = layer, sends, threshold, measure
        self.neurons = self.steps = self.samples = self.differing = self.matches = 0
        self.sums = dict.fromkeys(("float", "chip", "shared", "rossum", "purpura", "square", "before"), 0.0)
        self.values = self.values_before = 0
        self.worst = 0.0
        self.counted = True

    def spikes(self, trained: NDArray[Any], chip: NDArray[Any]) -> None:
        """Trains (B, T, n) of one batch; of changes, whether there was one."""
        batch, self.steps, self.neurons = trained.shape
        self.samples += batch
        self.differing += int((trained != chip).any((1, 2)).sum())
        self.sums["float"] += float(trained.sum())
        self.sums["chip"] += float(chip.sum())
        self.sums["shared"] += float(np.minimum(trained, chip).sum())
        self.sums["rossum"] += float(van_rossum(trained, chip, self.measure.tau).sum())
        found = edits(trained, chip, self.measure.cost, self.measure.window)
        self.counted = self.counted and found is not None
        if found is not None:
            self.sums["purpura"] += found.distance
            self.matches += found.matches

    def membranes(self, trained: Floats, chip: Floats, before: NDArray[np.bool_]) -> None:
        """Membranes (B, T, n) in trained units; ``before`` (B, T): nothing has differed yet, in any layer."""
        _, self.steps, self.neurons = trained.shape
        error = np.abs(chip - trained)
        self.sums["square"] += float((error**2).sum())
        self.sums["before"] += float((error[before] ** 2).sum())
        self.values += error.size
        self.values_before += int(before.sum()) * self.neurons
        self.worst = max(self.worst, float(error.max(initial=0.0)))

    def finish(self) -> LayerComparison:
        """The layer's figures."""
        sums, trains = self.sums, max(self.samples * self.neurons, 1)
        both, most = sums["float"] + sums["chip"], max(sums["float"], sums["chip"])
        return LayerComparison(
            layer=self.layer,
            neurons=self.neurons,
            sends=self.sends,
            float_spikes=int(sums["float"]),
            chip_spikes=int(sums["chip"]),
            float_rate=sums["float"] / (trains * self.steps),
            chip_rate=sums["chip"] / (trains * self.steps),
            shared=sums["shared"] / most if most else 1.0,
            coincident=(2 * self.matches / both if both else 1.0) if self.counted else None,
            van_rossum=sums["rossum"] / trains,
            victor_purpura=sums["purpura"] / trains if self.counted else None,
            victor_purpura_share=(sums["purpura"] / both if both else 0.0) if self.counted else None,
            membrane_rms=_root(sums["square"], self.values),
            membrane_worst=self.worst,
            membrane_rms_before=_root(sums["before"], self.values_before) if self.values_before else None,
            threshold=self.threshold,
            differing_samples=self.differing,
        )


def _root(square: float, count: int) -> float:
    return float(np.sqrt(square / count)) if count else 0.0
