"""Conventional networks to spiking and sigma-delta ones."""
