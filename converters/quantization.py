"""What quantization cost, layer by layer: the record that `quantize` writes and reports show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SynapseError:
    """One connection's weights on the chip.

    Attributes:
        groups: names of the synapse groups that carry it (two where the weights are split).
        relative_error: RMS of (chip weight / scale - trained weight) over RMS of the trained weights.
        clipped_share: part of the weights that were cut at the end of the 8-bit range.
        weight_exps: exponent of each group.
        sign_mode: "mixed", "excitatory" or "inhibitory".
    """

    groups: tuple[str, ...]
    relative_error: float
    clipped_share: float
    weight_exps: tuple[int, ...]
    sign_mode: str


@dataclass(frozen=True)
class PopulationError:
    """One population's registers on the chip.

    Attributes:
        scale: chip threshold units (vth) per unit of the trained membrane potential.
        current_decay_error, membrane_decay_error: largest distance between trained decay and the chip's, per step.
        threshold_error: largest relative distance between trained threshold and the chip's.
        bias_error: largest part of a trained bias that the chip's registers cannot hold, in units of the threshold.
        u_peak, v_peak: largest abs u and v on the calibration data as a share of the 24-bit range.
        spike_agreement: spikes in common with the float network over calibration data, as a share of the larger of the
            two counts (1.0 where neither spikes), with this layer's inputs taken from the chip.
    """

    scale: float
    current_decay_error: float
    membrane_decay_error: float
    threshold_error: float
    bias_error: float
    u_peak: float
    v_peak: float
    spike_agreement: float


@dataclass(frozen=True)
class QuantizationReport:
    """Per connection and per population."""

    synapses: Mapping[str, SynapseError]
    populations: Mapping[str, PopulationError]
