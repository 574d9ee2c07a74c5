"""Lanes: vector instructions written out, for runs too short for a compiler to find them in a loop.

A loop over a run of unknown length is compiled into vectors with a check for overlap before and single steps after:
more work than a run of 48 weights itself. Runs are padded to whole vectors, and each is one load, widen, add, store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
"""Numbers in a vector: 16 sums of 32 bits are one AVX-512 register, or two of AVX."""


def _vector(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> tuple[Any, Any, int]:
    """Pointer to ``LANES`` elements of ``array`` from ``at`` on, their vector type, and the alignment of one."""
    element = context.get_data_type(kind.dtype)
    pointer = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    vector = ir.VectorType(element, LANES)
    return builder.bitcast(pointer, vector.as_pointer()), vector, element.width // 8


def _add_lanes(
    _typing: Any, total: Any, at: Any, weight: Any, first: Any, worth: Any
) -> tuple[Any, Callable[..., Any]]:
    """See `add_lanes`."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        into, vector, alignment = _vector(context, builder, signature.args[0], arguments[0], arguments[1])
        source, narrow, narrow_alignment = _vector(context, builder, signature.args[2], arguments[2], arguments[3])
        added = builder.load(source, align=narrow_alignment)
        if narrow.element.width < vector.element.width:
            added = builder.sext(added, vector)
        if signature.args[4] != types.none:
            factor = context.cast(builder, arguments[4], signature.args[4], signature.args[0].dtype)
            spread = ir.Constant(vector, ir.Undefined)
            for lane in range(LANES):
                spread = builder.insert_element(spread, factor, ir.Constant(ir.IntType(32), lane))
            added = builder.mul(added, spread)
        builder.store(builder.add(builder.load(into, align=alignment), added), into, align=alignment)
        return context.get_dummy_value()

    return types.void(total, types.uint64, weight, types.uint64, worth), make


add_lanes: Callable[..., None] = intrinsic(_add_lanes)
"""total[at : at + LANES] += weight[first : first + LANES] · worth, in the type of ``total``.

Called as add_lanes(total, at, weight, first, worth) with unsigned ``at`` and ``first``; ``worth`` None stands for 1.
Weights are no wider than sums; nobody looks whether the elements exist.
"""
