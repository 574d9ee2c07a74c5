"""work: batches of samples through the trained network, the chip and everything between, and what adds up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.circuit import READOUTS, SIGMA_DELTA
from spikeport.converters.findings import Finding
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.codec import Codec
from spikeport.deploy.compare.assemble import assemble
from spikeport.deploy.compare.circuit_float import Known, Trace, execute
from spikeport.deploy.compare.comparison import Comparison, EffectResult
from spikeport.deploy.compare.effects import ALL, EFFECTS, NONE, Effect, Effects
from spikeport.deploy.compare.first import FirstDifference, Place, earliest, shown, side
from spikeport.deploy.compare.layers import LayerTally, Measure
from spikeport.deploy.compare.pair import Pair
from spikeport.deploy.compare.program import Floats, Program, same
from spikeport.deploy.compare.variants import VariantTally, on_input_clock, output_of, sent_by
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.encode import Encoded, Spikes, largest

BUDGET = 1 << 22
"""Neurons × steps × samples whose states are held at once: a dozen arrays of this size, 32 MiB each."""


@dataclass(frozen=True)
class Batch:
    """One batch on the input's clock; what layers send (B, T, n) in trained units, outputs (B, T, n).

    Attributes:
        sent: what the encoder sends, per input.
        length, first: T, and the index of the batch's first sample.
        trained, chip: spikes, or changes of sigma-delta units, of both sides.
        reference, output: outputs of both sides.
    """

    sent: Mapping[str, Floats]
    length: int
    first: int
    trained: Mapping[str, Floats]
    chip: Mapping[str, Floats]
    reference: Floats
    output: Floats


@dataclass(frozen=True)
class Between:
    """A network between float and chip, and its sums; no program where it is the same as one of the ends."""

    effect: Effect
    program: Program | None
    tally: VariantTally


class Work:
    """All programs of a pair, and the sums over batches."""

    def __init__(self, pair: Pair, deployment: Deployment, measure: Measure, effects: bool) -> None:
        self.pair, self.deployment, self.measure = pair, deployment, measure
        self.findings: list[Finding] = list(pair.findings)
        self.first: FirstDifference | None = None
        self.steps = self.unlike = self.overflows = 0
        self.output = pair.chip.outputs[0]
        self.off, self.on = assemble(pair, NONE), assemble(pair, ALL)
        tried: tuple[Effect, ...] = EFFECTS if effects else ()
        self.ends = {name: self._tally() for name in ("trained", "chip", "exact")}
        self.alone = [self._between(e, frozenset({e}), self.off, self.ends["exact"]) for e in tried]
        self.without = [self._between(e, ALL - {e}, self.on, self.ends["chip"]) for e in tried]
        self.layers = {name: self._layer(name) for name in self.off.cells if name in pair.network.nodes}
        self.spiking = [name for name, layer in self.layers.items() if layer.sends == "spikes"]
        self.sending = [name for name, layer in self.layers.items() if layer.sends != "nothing"]

    def _between(self, effect: Effect, effects: Effects, base: Program, known: VariantTally) -> Between:
        """A network between the two; where an effect changes nothing, it is one of the ends."""
        program = assemble(self.pair, effects)
        return Between(effect, None, known) if same(program, base) else Between(effect, program, self._tally())

    def _tally(self) -> VariantTally:
        readout = self.pair.chip.populations[self.output].model in READOUTS
        return VariantTally(self.deployment.codec.decoder, readout)

    def _layer(self, name: str) -> LayerTally:
        cell = self.off.cells[name]
        if cell.model in READOUTS:
            return LayerTally(name, "nothing", None, self.measure)
        if cell.model in SIGMA_DELTA:
            return LayerTally(name, "changes", None, self.measure)
        # From the reset to the threshold; one by subtraction leads down by an amount, wherever v starts.
        distance = cell.amount if cell.model == "lif_subtract" else cell.threshold
        return LayerTally(name, "spikes", float(np.median(distance)), self.measure)

    def batch_size(self, data: NDArray[Any]) -> int:
        """Samples at once, within `BUDGET`."""
        states = sum(p.size for p in self.pair.chip.populations.values()) * self._encoded(data[:1], 0).spikes.shape[1]
        return max(1, BUDGET // max(int(states), 1))

    def _encoded(self, data: NDArray[Any], first: int) -> Encoded:
        (source,) = self.pair.chip.inputs
        return self.deployment.codec.encode(data, self.pair.chip.populations[source].shape, first)

    def add(self, data: NDArray[Any], first: int) -> None:
        """One batch through every network."""
        batch = self._both_sides(data, first)
        known: Known = {}
        off, on = (execute(program, batch.sent, tuple(self.layers), known) for program in (self.off, self.on))
        self._add_ends(batch, off, on)
        self._add_layers(batch, off, on)
        for between in (*self.alone, *self.without):
            if between.program is not None:
                trace = execute(between.program, batch.sent, (self.output,), known)
                self._score(between.tally, batch, between.program, trace)

    def _both_sides(self, data: NDArray[Any], first: int) -> Batch:
        encoded, codec = self._encoded(data, first), self.deployment.codec
        floats = run_float(self.pair.network, encoded.floats, record=self.sending)
        # Encoded already: a random code must not be drawn anew for a batch that is not the first.
        plain = replace(self.deployment, codec=Codec(Spikes(max_spikes=largest(codec.encoder)), codec.decoder))
        run = plain.run(encoded.spikes, record=self.sending)
        self.findings += (*encoded.findings, *run.findings)
        self.overflows += sum(p.u_wraps + p.v_clips for p in run.activity.populations.values())
        self.steps = encoded.spikes.shape[1]
        (source,), (output,) = self.pair.chip.inputs, self.pair.network.outputs
        return Batch(
            sent={source: _flat(encoded.spikes).astype(np.float64)},
            length=self.steps,
            first=first,
            trained={name: _flat(floats.spikes[name]).astype(np.float64) for name in self.sending},
            chip={name: _flat(run.spikes[name]) * self.on.cells[name].message for name in self.sending},
            reference=_flat(floats.outputs[output]).astype(np.float64),
            output=_flat(run.output),
        )

    def _add_ends(self, batch: Batch, off: Trace, on: Trace) -> None:
        self.ends["trained"].add(batch.reference, batch.reference, batch.trained, batch.trained)
        self.ends["chip"].add(batch.output, batch.reference, batch.chip, batch.trained)
        self._score(self.ends["exact"], batch, self.off, off)
        for name, train in batch.chip.items():
            twin = sent_by(self.on.cells[name], on, name, batch.length)
            self.unlike += int(np.count_nonzero(twin != train))

    def _score(self, tally: VariantTally, batch: Batch, program: Program, trace: Trace) -> None:
        trains = {n: sent_by(program.cells[n], trace, n, batch.length) for n in self.sending}
        output = output_of(program, trace, self.output, batch.length)
        tally.add(output, batch.reference, trains, batch.trained)

    def _add_layers(self, batch: Batch, off: Trace, on: Trace) -> None:
        differing = {name: batch.trained[name] != batch.chip[name] for name in self.spiking}
        parted = [wrong.any(2) for wrong in differing.values()]
        ever = np.logical_or.accumulate(np.logical_or.reduce(parted), axis=1) if parted else np.zeros((1, 1), np.bool_)
        for name, layer in self.layers.items():
            if layer.sends == "spikes":
                layer.spikes(batch.trained[name], batch.chip[name])
            elif layer.sends == "changes":
                layer.spikes(batch.trained[name] != 0, batch.chip[name] != 0)
            sides = zip((self.off, self.on), (off, on), strict=True)
            trained, chip = (_membrane(program, trace, name, batch.length) for program, trace in sides)
            layer.membranes(trained, chip, np.broadcast_to(~ever, trained.shape[:2]))
        place = earliest(differing, batch.first)
        if place is not None and (self.first is None or self._when(place) < self._when(self.first.place)):
            self.first = self._difference(place, batch, off, on)

    def _when(self, place: Place) -> tuple[int, int]:
        """Step and layer, those nearer to the input first: how batches are held against each other."""
        return place.step, self.spiking.index(place.layer)

    def _difference(self, place: Place, batch: Batch, off: Trace, on: Trace) -> FirstDifference:
        steps, sample, name = shown(place, batch.length), place.sample - batch.first, place.layer
        sides = []
        for program, trace in ((self.off, off), (self.on, on)):
            cell = program.cells[name]
            spikes, v, w = (on_input_clock(cell, x[name], batch.length) for x in (trace.spikes, trace.v, trace.w))
            sides.append(side(cell, spikes[sample], v[sample], w[sample], place, steps))
        index = np.unravel_index(place.neuron, self.pair.chip.populations[name].shape)
        return FirstDifference(place, tuple(int(k) for k in index), tuple(steps), *sides)

    def finish(self, labels: NDArray[np.int64] | None) -> Comparison:
        """Everything found."""
        classes = {name: np.concatenate(tally.classes) for name, tally in self.ends.items()}
        trained, truth = classes["trained"], classes["trained"] if labels is None else labels
        ends = {name: tally.finish(trained, truth) for name, tally in self.ends.items()}
        return Comparison(
            samples=len(trained),
            steps=self.steps,
            labels=labels,
            trained_classes=trained,
            chip_classes=classes["chip"],
            trained=ends["trained"],
            chip=ends["chip"],
            exact=ends["exact"],
            layers=tuple(layer.finish() for layer in self.layers.values()),
            first=self.first,
            effects=tuple(self._effect(a, w, trained, truth) for a, w in zip(self.alone, self.without, strict=True)),
            measure=self.measure,
            findings=(*dict.fromkeys(self.findings), *self._doubts()),
        )

    def _effect(
        self, alone: Between, without: Between, trained: NDArray[np.int64], truth: NDArray[np.int64]
    ) -> EffectResult:
        absent = alone.program is None and without.program is None
        note = "changes nothing here" if absent else self._note(alone.effect)
        return EffectResult(
            alone.effect, alone.tally.finish(trained, truth), without.tally.finish(trained, truth), note
        )

    def _note(self, effect: Effect) -> str:
        """What there is of an effect in this network."""
        if effect == "neuron":
            lost = {name: ideal.lost for name, ideal in self.pair.ideal.items() if ideal.lost}
            return "; ".join(f"{name}: {', '.join(words)}" for name, words in lost.items())
        if effect == "overflow":
            return f"{self.overflows} on the chip"
        return f"{self.pair.chip.depth} steps deep" if effect == "pipeline" else ""

    def _doubts(self) -> list[Finding]:
        if not self.unlike:
            return []
        message = (
            f"the effects' model of the chip differs from the simulator in {self.unlike} spike(s); what it says about "
            "effects is not exact."
        )
        return [Finding("unlike-simulator", "warning", "", message, "Please report this.")]


def _membrane(program: Program, trace: Trace, name: str, length: int) -> Floats:
    """v after the step in trained units, (B, T, n) on the input's clock."""
    cell = program.cells[name]
    return on_input_clock(cell, trace.v[name], length) / cell.unit + cell.offset


def _flat(train: NDArray[Any]) -> NDArray[Any]:
    return train.reshape(*train.shape[:2], -1)
