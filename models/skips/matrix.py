"""SkipMatrix: which layers of a block hear which earlier ones, and how. The search variable of Benmeziane et al.

A block of d layers is a chain; entry A[i][j] says what the output of layer i also does at the input of layer j:
0 nothing, 1 it is concatenated (DSC, as in DenseNet: weights of its own), 2 it is added to what the chain brings (ASC,
as in ResNet: shares layer j's weights). A skip passes at least one layer by, so j >= i + 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spikeport.errors import DataError

Kind: TypeAlias = Literal["dsc", "asc"]
DSC, ASC = 1, 2
CODES: Mapping[Kind, int] = {"dsc": DSC, "asc": ASC}
ROW, BLOCK = "/", ","
"""What separates rows, and the matrices of several blocks, in text."""


@dataclass(frozen=True)
class SkipMatrix:
    """``rows``: d rows of d entries 0, 1 or 2; row i is what leaves layer i.

    Raises:
        DataError: not square, an unknown entry, or one where no skip can be.
    """

    rows: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        depth = len(self.rows)
        for i, row in enumerate(self.rows):
            if len(row) != depth:
                raise DataError(f"row {i + 1} of the matrix has {len(row)} entries; {depth} rows need {depth} each")
            for j, entry in enumerate(row):
                if entry not in (0, DSC, ASC):
                    raise DataError(f"{entry} from layer {i + 1} to {j + 1}; write 0 none, 1 concatenate or 2 add")
                if entry and j < i + 2:
                    raise DataError(
                        f"a skip from layer {i + 1} to layer {j + 1}; it must pass a layer by, so that it can end at "
                        f"layer {i + 3} at the earliest"
                    )

    @property
    def depth(self) -> int:
        """Layers of the block."""
        return len(self.rows)

    @property
    def skips(self) -> int:
        """How many skips there are."""
        return sum(entry > 0 for row in self.rows for entry in row)

    def sources(self, layer: int, code: int) -> tuple[int, ...]:
        """Layers whose skip of that kind ends at ``layer``; both counted from 0."""
        return tuple(i for i in range(self.depth) if self.rows[i][layer] == code)

    def __str__(self) -> str:
        return ROW.join("".join(map(str, row)) for row in self.rows)


def parse_matrices(text: str) -> tuple[SkipMatrix, ...]:
    """Matrices of all blocks from text such as ``0010/0002/0000/0000`` (one block of four layers).

    Raises:
        DataError: not digits, or see `SkipMatrix`.
    """
    rows = [block.strip().split(ROW) for block in text.split(BLOCK)]
    for row in (row for block in rows for row in block):
        if not (row.isascii() and row.isdecimal()):
            raise DataError(f"matrix row {row!r}; write digits 0, 1, 2, rows separated by /, blocks by a comma")
    return tuple(SkipMatrix(tuple(tuple(map(int, row)) for row in block)) for block in rows)


def places(depth: int) -> Iterator[tuple[int, int]]:
    """All (i, j) of a block where a skip can be, layers counted from 0."""
    return ((i, j) for j in range(depth) for i in range(j - 1))


def with_skips(depth: int, chosen: Mapping[tuple[int, int], int]) -> SkipMatrix:
    """The matrix with the entries ``chosen``, else 0."""
    return SkipMatrix(tuple(tuple(chosen.get((i, j), 0) for j in range(depth)) for i in range(depth)))


def regular(depth: int, n_skip: int, kind: Kind) -> SkipMatrix:
    """At most ``n_skip`` skips of one kind at every layer, from the nearest layers that a skip can come from."""
    return with_skips(depth, {(i, j): CODES[kind] for i, j in places(depth) if j - 1 - i <= n_skip})
