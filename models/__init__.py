"""Trained and trainable networks that ship with spikeport."""
