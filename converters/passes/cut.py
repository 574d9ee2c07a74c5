"""Cutting one population into as few pieces as fit a core: along its neurons, or, where that is fewer, into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from spikeport.converters.chip_network import Conv2d
from spikeport.converters.passes.core_load import Load, Loads
from spikeport.converters.passes.tiles import Image, Tile, grid
from spikeport.converters.placement import Slice
from spikeport.errors import DoesNotFitError

Edges = tuple[int, ...]

ADVICE = {
    "neurons": "make the layer's neuron model cheaper or choose a chip with larger cores",
    "synaptic memory": "prune the layer, use fewer weight bits, or avoid split weights",
    "fan-in axons": "pool, stride or prune what the layer listens to",
    "fan-out axons": "choose a smaller kernel, more stride or fewer channels in the layers it feeds",
    "parameter sets": "let neurons share decays",
    "threshold sets": "let neurons share thresholds",
    "synapse formats": "let synapse groups share exponents and widths",
}


@dataclass(frozen=True)
class Piece:
    """What goes onto one core together: slices of one population, and their load."""

    slices: tuple[Slice, ...]
    load: Load


@dataclass(frozen=True)
class Cut:
    """A population in pieces, and the resource that keeps it from fewer."""

    pieces: tuple[Piece, ...]
    binding: str


def cut(loads: Loads) -> Cut:
    """As few pieces as the limits allow; along the neurons where tiles are not fewer.

    Raises:
        DoesNotFitError: one neuron alone exceeds a limit.
    """
    tiles = _tiles(loads)
    edges = _edges(loads, len(tiles) if tiles else None)
    name = loads.population.name
    if edges is not None:
        pieces = [Piece((Slice(name, a, b),), loads.of(a, b)) for a, b in pairwise(edges)]
        return Cut(tuple(pieces), _binding(loads, len(pieces)))
    pieces = [Piece(tuple(Slice(name, a, b) for a, b in tile.ranges), loads.of_tile(tile)) for tile in tiles]
    return Cut(tuple(pieces), _most_used(loads.of_tile(_wider(tiles)), loads))


def _edges(loads: Loads, most: int | None) -> Edges | None:
    """Slice borders, as even as the limits allow; whole channels of a convolution where that costs no core.

    None where that takes more than ``most`` slices.
    """
    greedy = _greedy(loads, most)
    if greedy is None:
        return None
    size, pieces = loads.population.size, len(greedy) - 1
    for unit in (_plane(loads), 1):
        blocks = -(-size // unit)
        edges = (*(unit * (blocks * k // pieces) for k in range(pieces)), size)
        if len(set(edges)) == len(edges) and _all_fit(loads, edges):
            return edges
    return greedy


def _plane(loads: Loads) -> int:
    image = _image(loads)
    return image[1] * image[2] if image else 1


def _image(loads: Loads) -> Image | None:
    """(C, H, W) of a population that convolutions feed."""
    shapes = [s.connectivity.target_shape for s in loads.into if isinstance(s.connectivity, Conv2d)]
    return max(shapes, key=lambda shape: shape[1] * shape[2], default=None)


def _all_fit(loads: Loads, edges: Edges) -> bool:
    return all(loads.of(a, b).fits(loads.profile) for a, b in pairwise(edges))


def _greedy(loads: Loads, most: int | None) -> Edges | None:
    edges, guess = [0], min(loads.population.size, loads.profile.limits.neurons_per_core.value)
    while edges[-1] < loads.population.size:
        if most is not None and len(edges) > most:
            return None
        guess = _longest(loads, edges[-1], guess)
        edges.append(edges[-1] + guess)
    return tuple(edges)


def _longest(loads: Loads, start: int, guess: int) -> int:
    """The longest slice from ``start`` that fits; the search gallops away from ``guess``, then halves.

    Raises:
        DoesNotFitError: not even one neuron fits.
    """
    most = loads.population.size - start
    fits, fails, step = 0, most + 1, 1
    trial = min(guess, most)
    while fits + 1 < fails:
        if loads.of(start, start + trial).fits(loads.profile):
            fits = trial
            trial = min(fits + step, fails - 1) if fails > most else (fits + fails) // 2
        else:
            fails = trial
            trial = max(fails - step, 1) if fits == 0 else (fits + fails) // 2
        step *= 2
    if fits == 0:
        _refuse_neuron(loads, start)
    return fits


def _refuse_neuron(loads: Loads, index: int) -> None:
    usage = loads.of(index, index + 1).usage(loads.profile)
    name, use = max(usage.items(), key=lambda item: item[1].used / item[1].limit)
    raise DoesNotFitError(
        f"layer {loads.population.name}: its neuron {index} alone needs {use.used} {use.unit} ({name}), "
        f"a core of {loads.profile.name} has {use.limit}; {ADVICE[name]}"
    )


def _tiles(loads: Loads) -> tuple[Tile, ...]:
    """The grid with the fewest tiles that all fit; the widest of equals; empty where there is none, or no need."""
    image = _image(loads)
    if image is None or image[0] == 1 or loads.of(0, loads.population.size).fits(loads.profile):
        return ()
    best: tuple[Tile, ...] = ()
    for across in range(1, image[2] + 1):
        if best and across >= len(best):
            break
        found = next((tiles for tiles in _grids(loads, image, across) if _fit(loads, tiles)), ())
        if found and (not best or len(found) < len(best)):
            best = found
    return best


def _grids(loads: Loads, image: Image, across: int) -> Iterator[tuple[Tile, ...]]:
    """Grids of ``across`` columns whose middle tile fits, the fewest rows first."""
    fails, fits = 0, image[1] + 1
    while fails + 1 < fits:
        down = (fails + fits) // 2
        if _middle(loads, image, down, across).fits(loads.profile):
            fits = down
        else:
            fails = down
    yield from (grid(image, down, across) for down in range(fits, image[1] + 1))


def _middle(loads: Loads, image: Image, down: int, across: int) -> Load:
    tiles = grid(image, down, across)
    return loads.of_tile(tiles[down // 2 * across + across // 2])


def _fit(loads: Loads, tiles: tuple[Tile, ...]) -> bool:
    return all(loads.of_tile(tile).fits(loads.profile) for tile in tiles)


def _wider(tiles: tuple[Tile, ...]) -> Tile:
    """The tile in the middle, a row and a column larger where there is room: what would no longer fit."""
    tile = tiles[len(tiles) // 2]
    rows, columns = (
        (start, min(stop + 1, size))
        for (start, stop), size in ((tile.rows, tile.image[1]), (tile.columns, tile.image[2]))
    )
    return Tile(tile.image, rows, columns)


def _binding(loads: Loads, pieces: int) -> str:
    """What a slice runs out of when it is made longer than it is; where one core holds all, what is used most."""
    stop = min(loads.population.size, -(-loads.population.size // max(pieces - 1, 1)))
    return _most_used(loads.of(0, stop), loads)


def _most_used(load: Load, loads: Loads) -> str:
    usage = load.usage(loads.profile)
    return max(usage, key=lambda name: usage[name].used / usage[name].limit)
