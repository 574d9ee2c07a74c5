"""Which axis is time, once the whole run was seen; what is left of the sample's leading axes is the batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spikeport.converters.read.modules.axes import Atom, Axis, Dims, Role, learn, leaves
from spikeport.converters.read.modules.values import Value
from spikeport.errors import DataError

_LETTERS: dict[str, Role] = {"T": "time", "B": "batch"}


def name_axes(dims: Dims, axes: str | None) -> None:
    """Say what the user said: "TB" for time, then batch.

    Raises:
        DataError: other letters, or more of them than axes.
    """
    if axes is None:
        return
    if not set(axes) <= set(_LETTERS) or len(set(axes)) != len(axes) or len(axes) > len(dims):
        raise DataError(f"axes='{axes}' for a sample of {len(dims)} axes; use T and B once each, such as 'TB' or 'B'.")
    for axis, letter in zip(dims, axes, strict=False):
        learn(axis, _LETTERS[letter])


def settle_roles(inputs: Sequence[Value], selected: Iterable[Value], timed: bool) -> None:
    """Learn time from loops over it, then take the first open axis of every input for its batch.

    Args:
        inputs: the signals.
        selected: every single slice that was taken of a signal.
        timed: whether there are neurons: without them a loop over slices is none over time.
    """
    if timed:
        _learn_from_loops(selected)
    for value in inputs:
        atoms = [atom for axis in value.dims for atom in leaves(axis)]
        if not any(atom.role == "batch" for atom in atoms):
            first: Axis | None = next((a for a in value.dims if all(atom.role is None for atom in leaves(a))), None)
            if first is not None:
                learn(first, "batch")


def _learn_from_loops(selected: Iterable[Value]) -> None:
    taken: dict[Atom, set[int]] = {}
    sources: dict[Atom, Dims] = {}
    for value in selected:
        source = value.inputs[0]
        atoms = leaves(source.dims[value.params["axis"]])
        if len(atoms) == 1:
            taken.setdefault(atoms[0], set()).add(value.params["index"])
            sources[atoms[0]] = source.dims
    for atom, indices in taken.items():
        known = any(a.role == "time" for axis in sources[atom] for a in leaves(axis))
        if atom.role is None and not known and atom.size > 1 and len(indices) == atom.size:
            learn((atom,), "time")
