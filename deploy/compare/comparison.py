"""Comparison: what `compare` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.deploy.compare.effects import Effect
from spikeport.deploy.compare.first import FirstDifference
from spikeport.deploy.compare.layers import LayerComparison, Measure


@dataclass(frozen=True)
class Variant:
    """A network between the trained one and the chip.

    Attributes:
        accuracy: share of right classes; without labels, of classes as the trained network has them.
        changed: samples whose class is another than the trained network's.
        mismatch: distance of the output from the trained network's: spikes too many and missing over its spikes; of
            a membrane readout the RMS distance over the RMS.
        layers: per layer that sends, spikes (or changes) off the trained network's, as a share of them.
    """

    accuracy: float
    changed: int
    mismatch: float
    layers: Mapping[str, float]


@dataclass(frozen=True)
class EffectResult:
    """What one effect of the hardware does.

    Attributes:
        alone: the trained network with this effect only.
        without: the chip without this effect.
        note: what there is of it in this network, "" where there is nothing to say.
    """

    effect: Effect
    alone: Variant
    without: Variant
    note: str


@dataclass(frozen=True)
class Comparison:
    """Trained network and chip on the same input.

    Attributes:
        samples, steps: of the input.
        labels: given with the data, or None.
        trained_classes, chip_classes: (B,) decided by the deployment's decoder.
        trained, chip: both ends, as variants; ``trained.mismatch`` is 0.
        exact: the trained network in float64: what the other variants are built from; it differs from ``trained`` by
            the rounding of float32 only.
        layers: in the order of the chip's clock.
        first: the first difference, or None.
        effects: what each effect does; empty where that was not asked for.
        measure: how distances were taken.
        findings: doubts.
    """

    samples: int
    steps: int
    labels: NDArray[np.int64] | None
    trained_classes: NDArray[np.int64]
    chip_classes: NDArray[np.int64]
    trained: Variant
    chip: Variant
    exact: Variant
    layers: tuple[LayerComparison, ...]
    first: FirstDifference | None
    effects: tuple[EffectResult, ...]
    measure: Measure
    findings: tuple[Finding, ...]

    @property
    def gap(self) -> float:
        """Accuracy that the chip loses, in all."""
        return self.trained.accuracy - self.chip.accuracy

    @property
    def interaction(self) -> float:
        """What of the gap the effects, each alone, do not add up to."""
        return self.gap - sum(self.trained.accuracy - e.alone.accuracy for e in self.effects)
