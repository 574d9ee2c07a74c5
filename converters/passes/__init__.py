"""Passes: one idea, one file; the order is in `spikeport.converters.chain`."""
