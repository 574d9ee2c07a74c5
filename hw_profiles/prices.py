"""Prices: what each countable event on a chip costs in energy and in time, whatever the model behind the list.

Two lists for one chip may draw their lines differently. Davies et al. (2018) pay for an update of every neuron,
cheaper where it is inactive; SANA-FE pays an access of every neuron, plus an update, plus a spike. Both are entries
here. What a list leaves out on purpose is "not-modelled"; what nobody has published is "unknown" (the default), and a
result that needs it has no total.
"""

from __future__ import annotations

from pydantic import model_validator

from spikeport.hw_profiles.quantity import Curve, Quantity, Strict


def _unknown(unit: str) -> Quantity:
    return Quantity(value=None, unit=unit, source="not given in this profile", evidence="unknown")


_UNKNOWN_CURVE = Curve(x_unit="tiles", unit="ns", source="not given in this profile", evidence="unknown")
_UNITS = {"pj": "pJ", "ns": "ns", "mw": "mW"}


class Prices(Strict):
    """Energy (pJ) and time (ns) per event; the key carries the unit.

    Events:
        synaptic_op_dense, _sparse, _conv: one weight of such a group added to one neuron.
        neuron_access: every compartment, every step.
        neuron_update_active, _inactive: a compartment whose state changed (or not), every step, on top of the access.
        spike_out: a neuron spikes.
        axon_out: a packet leaves a core; a spike sends one to each core that holds a target.
        axon_in: a packet enters a core, from another core or from outside.
        spike_within_tile: a packet crosses a tile's router (every packet does so at least once).
        hop_east_west, hop_north_south: a packet goes on to a neighbouring tile; x first, then y.
        chip_crossing: a packet goes from chip to chip.
        input_packet: a packet comes from outside.
        synaptic_update: the learning engine computes a weight anew and writes it back; its time is not modelled.
        barrier: the cores agree that a step is over; its time by the number of tiles in use.
        static_power_per_chip_mw: drawn all the time, by each chip in use.
    """

    synaptic_op_dense_energy_pj: Quantity = _unknown("pJ")
    synaptic_op_sparse_energy_pj: Quantity = _unknown("pJ")
    synaptic_op_conv_energy_pj: Quantity = _unknown("pJ")
    neuron_access_energy_pj: Quantity = _unknown("pJ")
    neuron_update_active_energy_pj: Quantity = _unknown("pJ")
    neuron_update_inactive_energy_pj: Quantity = _unknown("pJ")
    spike_out_energy_pj: Quantity = _unknown("pJ")
    axon_out_energy_pj: Quantity = _unknown("pJ")
    axon_in_energy_pj: Quantity = _unknown("pJ")
    spike_within_tile_energy_pj: Quantity = _unknown("pJ")
    hop_east_west_energy_pj: Quantity = _unknown("pJ")
    hop_north_south_energy_pj: Quantity = _unknown("pJ")
    chip_crossing_energy_pj: Quantity = _unknown("pJ")
    input_packet_energy_pj: Quantity = _unknown("pJ")
    synaptic_update_energy_pj: Quantity = _unknown("pJ")
    barrier_energy_pj: Quantity = _unknown("pJ")

    synaptic_op_dense_time_ns: Quantity = _unknown("ns")
    synaptic_op_sparse_time_ns: Quantity = _unknown("ns")
    synaptic_op_conv_time_ns: Quantity = _unknown("ns")
    neuron_access_time_ns: Quantity = _unknown("ns")
    neuron_update_active_time_ns: Quantity = _unknown("ns")
    neuron_update_inactive_time_ns: Quantity = _unknown("ns")
    spike_out_time_ns: Quantity = _unknown("ns")
    axon_out_time_ns: Quantity = _unknown("ns")
    axon_in_time_ns: Quantity = _unknown("ns")
    spike_within_tile_time_ns: Quantity = _unknown("ns")
    hop_east_west_time_ns: Quantity = _unknown("ns")
    hop_north_south_time_ns: Quantity = _unknown("ns")
    chip_crossing_time_ns: Quantity = _unknown("ns")
    barrier_time_ns: Curve = _UNKNOWN_CURVE

    static_power_per_chip_mw: Quantity = _unknown("mW")

    def energy(self, event: str) -> Quantity:
        """Energy of one ``event`` of the list above, in pJ."""
        price: Quantity = getattr(self, f"{event}_energy_pj")
        return price

    def time(self, event: str) -> Quantity:
        """Time of one ``event`` of the list above, in ns (not of the barrier, which is a curve)."""
        price: Quantity = getattr(self, f"{event}_time_ns")
        return price

    @model_validator(mode="after")
    def _units_match_keys(self) -> Prices:
        for key in type(self).model_fields:
            unit, wanted = getattr(self, key).unit, _UNITS[key.rsplit("_", 1)[1]]
            if unit != wanted:
                raise ValueError(f'{key} must have unit "{wanted}", found "{unit}"')
        return self

    def lent_to(self, own: Prices, lender: str, borrower: str) -> Prices:
        """``own``, with each unknown entry filled from this list and marked as assumed.

        What this list does not model stays "not-modelled"; what it does not know stays unknown.
        """
        fills = {
            key: _assumed(getattr(self, key), lender, borrower)
            for key in type(self).model_fields
            if getattr(own, key).evidence == "unknown" and getattr(self, key).evidence != "unknown"
        }
        return own.model_copy(update=fills)


def _assumed(price: Quantity | Curve, lender: str, borrower: str) -> Quantity | Curve:
    source = f"prices of {lender}, assumed for {borrower} ({price.source})"
    evidence = price.evidence if price.evidence == "not-modelled" else "assumed"
    return price.model_copy(update={"source": source, "evidence": evidence})
