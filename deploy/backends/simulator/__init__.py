"""Bit-exact chip simulators; `reference` is the specification."""
