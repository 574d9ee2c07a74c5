"""Whether a neuron hears more sources than a core can tell apart: asked before weights are chosen, which takes time."""

from __future__ import annotations

from spikeport.converters.circuit import Circuit, ConvMap, DenseMap, FloatMap
from spikeport.converters.connectivity import axis_reach
from spikeport.converters.passes.cut import ADVICE
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import Profile


def check_fan_in(circuit: Circuit, profile: Profile) -> None:
    """Refuse what no placement can mend; whether all else fits is known once there are weights.

    Raises:
        DoesNotFitError: a neuron alone needs more axons into its core than a core has.
    """
    limit = profile.limits.fan_in_axons_per_core.value
    for name in circuit.populations:
        heard: dict[str, int] = {}
        for connection in circuit.connections.values():
            if connection.target == name:
                heard[connection.source] = max(heard.get(connection.source, 0), most_sources(connection.weights))
        if (axons := sum(heard.values())) > limit:
            raise DoesNotFitError(
                f"layer {name}: one of its neurons needs {axons} axons (fan-in axons), a core of {profile.name} has "
                f"{limit}; {ADVICE['fan-in axons']}"
            )


def most_sources(weights: FloatMap) -> int:
    """How many source neurons the target neuron hears that hears most."""
    match weights:
        case DenseMap(weight):
            return int(weight.shape[1])
        case ConvMap():
            rows, columns = (int(axis_reach(weights, axis).sum(0).max()) for axis in (0, 1))
            return rows * columns * int(weights.weight.shape[1])
        case _:
            return int((weights.matrix.indptr[1:] - weights.matrix.indptr[:-1]).max())
