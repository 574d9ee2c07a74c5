"""What must hold of a Circuit between passes."""

from __future__ import annotations

import numpy as np

from spikeport.converters.circuit import Circuit, Connection, ConvMap, DenseMap, FloatMap, SparseWeights
from spikeport.errors import ModelError


def check_circuit(circuit: Circuit) -> None:
    """Every connection joins populations that exist and fits both.

    Raises:
        ModelError: naming the first connection or population that does not.
    """
    for name, connection in circuit.connections.items():
        for end in (connection.source, connection.target):
            if end not in circuit.populations:
                raise ModelError(f"{name}: no population {end!r}")
        source, target = circuit.populations[connection.source], circuit.populations[connection.target]
        if _float_size(connection.weights) != (target.size, source.size):
            raise ModelError(
                f"{name}: weights for {_float_size(connection.weights)} (targets, sources), "
                f"the populations have {(target.size, source.size)}"
            )
        _check_lag(name, connection)
    for name in (*circuit.inputs, *circuit.outputs):
        if name not in circuit.populations:
            raise ModelError(f"{name}: named as input or output, but there is no such population")


def _check_lag(name: str, connection: Connection) -> None:
    if np.min(connection.lag) < 0 or np.min(connection.delay) < 0:
        raise ModelError(f"{name}: negative delay {int(min(np.min(connection.lag), np.min(connection.delay)))}")


def _float_size(weights: FloatMap) -> tuple[int, int]:
    match weights:
        case DenseMap(weight):
            return weight.shape[0], weight.shape[1]
        case SparseWeights(matrix):
            return matrix.shape[0], matrix.shape[1]
        case ConvMap(source_shape=source, target_shape=target):
            return int(np.prod(target)), int(np.prod(source))
