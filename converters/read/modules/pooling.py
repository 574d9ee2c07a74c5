"""Handlers of torch's pooling functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

from torch import Tensor

from spikeport.converters.read.modules.axes import fresh
from spikeport.converters.read.modules.functions import Call, Handler, sizes, unknown
from spikeport.converters.read.modules.values import Kind, Value

Shape = tuple[int, ...]


def _average(rank: int) -> Handler:
    def handle(
        c: Call,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Value:
        kernel, steps, pads = _windows(rank, kernel_size, stride, padding)
        if any(pads) and not count_include_pad:
            return unknown(c, f"avg_pool{rank}d with count_include_pad=False")
        if divisor_override not in (None, 1, prod(kernel)):
            return unknown(c, f"avg_pool{rank}d with divisor_override={divisor_override}")
        summed = divisor_override == 1 and prod(kernel) != 1
        return _pooled(c, "pool", input, (kernel, steps, pads), ceil_mode, sum=summed)

    return handle


def _lp_pool(rank: int) -> Handler:
    """Norm 1 of window sums: sum pooling, as Sinabs' SumPool2d uses it."""

    def handle(
        c: Call, input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Value:
        if float(norm_type) != 1.0:
            return unknown(c, f"lp_pool{rank}d of norm {norm_type}")
        return _pooled(c, "pool", input, _windows(rank, kernel_size, stride, 0), ceil_mode, sum=True)

    return handle


def _max_pool(rank: int) -> Handler:
    def handle(
        c: Call,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Value:
        if return_indices or set(sizes(dilation, rank)) != {1}:
            return unknown(c, f"max_pool{rank}d with dilation or indices")
        return _pooled(c, "max_pool", input, _windows(rank, kernel_size, stride, padding), ceil_mode)

    return handle


def _adaptive(rank: int) -> Handler:
    def handle(c: Call, input: Tensor, output_size: Any) -> Value:
        size, out = input.shape[-rank:], c.out.shape[-rank:]
        if any(n % m for n, m in zip(size, out, strict=True)):
            return unknown(c, f"adaptive_avg_pool{rank}d whose windows differ in size")
        kernel = tuple(n // m for n, m in zip(size, out, strict=True))
        return _pooled(c, "pool", input, (kernel, kernel, (0,) * rank), False, sum=False)

    return handle


def _pooled(c: Call, kind: Kind, input: Tensor, windows: tuple[Shape, Shape, Shape], ceil: bool, **more: Any) -> Value:
    rank = len(windows[0])
    if ceil and not _divides(input.shape[-rank:], *windows):
        return unknown(c, f"pooling with ceil_mode over {tuple(input.shape[-rank:])}")
    params = dict(zip(("kernel", "stride", "padding"), windows, strict=True)) | more
    return c.make(kind, [input], params, (*c.dims(input)[:-rank], *fresh(c.out.shape[-rank:])))


def _windows(rank: int, kernel: Any, stride: Any, padding: Any) -> tuple[Shape, Shape, Shape]:
    size = sizes(kernel, rank)
    return size, size if stride is None or stride == [] else sizes(stride, rank), sizes(padding, rank)


def _divides(size: Sequence[int], kernel: Shape, stride: Shape, padding: Shape) -> bool:
    return all((n + 2 * p - k) % s == 0 for n, k, s, p in zip(size, kernel, stride, padding, strict=True))


POOLS: Mapping[str, Handler] = MappingProxyType(
    {
        "avg_pool1d": _average(1),
        "avg_pool2d": _average(2),
        "adaptive_avg_pool1d": _adaptive(1),
        "adaptive_avg_pool2d": _adaptive(2),
        "lp_pool1d": _lp_pool(1),
        "lp_pool2d": _lp_pool(2),
        "max_pool1d": _max_pool(1),
        "max_pool2d": _max_pool(2),
    }
)
