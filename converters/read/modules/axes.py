"""Which axis of a traced tensor is time, batch, or data of one step, however it was flattened and permuted since.

Each axis is a run of atoms, in C order; reshaping regroups atoms and splits them where it must. Roles are learnt while
the module runs (a loop indexes time, a layer says "time first"), so shapes per step are asked for only afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

from spikeport.converters.network import Shape

Role: TypeAlias = Literal["time", "batch"]


@dataclass(eq=False)
class Atom:
    """An indivisible piece of an axis.

    Attributes:
        size: number of elements.
        role: None until it is known to be time or batch; data of one step if it stays so.
        parts: what it was split into, outermost first; () while it is whole.
        unit: the unit axis that was repeated to make it, and that is of the same kind; None for others.
    """

    size: int
    role: Role | None = None
    parts: tuple[Atom, ...] = ()
    unit: Atom | None = None

    def leaves(self) -> Iterator[Atom]:
        """The atoms it consists of by now."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


Axis: TypeAlias = tuple[Atom, ...]
Dims: TypeAlias = tuple[Axis, ...]


class MixedAxisError(ValueError):
    """An axis that holds time or batch together with data of one step."""


def fresh(shape: Sequence[int]) -> Dims:
    """One new atom per axis."""
    return tuple((Atom(n),) for n in shape)


def leaves(axis: Axis) -> tuple[Atom, ...]:
    """An axis with every split carried out."""
    return tuple(leaf for atom in axis for leaf in atom.leaves())


def reshaped(dims: Dims, shape: Sequence[int]) -> Dims:
    """The same elements, regrouped in C order to ``shape``.

    Raises:
        MixedAxisError: the new axes cut the old ones where they do not divide.
    """
    waiting = [atom for axis in dims for atom in leaves(axis)]
    found: list[Axis] = []
    for size in shape:
        axis: list[Atom] = []
        left = size
        if size == 1:
            axis.append(waiting.pop(0) if waiting and waiting[0].size == 1 else Atom(1))
        while left > 1:
            atom = _cut(waiting.pop(0), left) if waiting else None
            if atom is None:
                raise MixedAxisError(f"{tuple(prod(a.size for a in x) for x in dims)} to {tuple(shape)}")
            first, *rest = atom
            axis.append(first)
            waiting[:0] = rest
            left //= first.size
        found.append(tuple(axis))
    if found and waiting:
        found[-1] = (*found[-1], *waiting)
    return tuple(found)


def _cut(atom: Atom, left: int) -> tuple[Atom, ...] | None:
    """The atom, split where it holds more than ``left`` elements; None where that does not divide."""
    if left % atom.size == 0:
        return (atom,)
    if atom.size % left or atom.role is not None:
        return None
    atom.parts = (Atom(left), Atom(atom.size // left))
    return atom.parts


def learn(axis: Axis, role: Role) -> None:
    """Say what an axis is; unit axes included.

    Raises:
        MixedAxisError: it is known to be something else.
    """
    for atom in leaves(axis):
        if atom.role not in (None, role):
            raise MixedAxisError(f"an axis of {atom.size} is {atom.role} in one place and {role} in another")
        atom.role = role
        if atom.unit is not None:
            atom.unit.role = role


def is_data(axis: Axis) -> bool:
    """Whether an axis belongs to one step of one sample.

    Raises:
        MixedAxisError: it holds both.
    """
    long = [atom for atom in leaves(axis) if atom.size > 1]
    kinds = {atom.role is None for atom in long or leaves(axis)}
    if len(kinds) == 2 and long:
        sizes = " x ".join(f"{atom.size} ({atom.role or 'data'})" for atom in long)
        raise MixedAxisError(f"one axis holds {sizes}")
    return kinds == {True} or not kinds


def step_axes(dims: Dims) -> tuple[int, ...]:
    """Indices of the axes of one step of one sample."""
    return tuple(i for i, axis in enumerate(dims) if is_data(axis))


def step_shape(dims: Dims) -> Shape:
    """Shape of one step of one sample."""
    return tuple(prod(atom.size for atom in leaves(dims[i])) for i in step_axes(dims))


def data_order(dims: Dims) -> tuple[Atom, ...]:
    """Atoms of one step of one sample, in C order, unit ones left out."""
    return tuple(atom for i in step_axes(dims) for atom in leaves(dims[i]) if atom.size > 1)
