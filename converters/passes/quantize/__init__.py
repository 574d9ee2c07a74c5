"""Quantization: floats to the chip's integers."""
