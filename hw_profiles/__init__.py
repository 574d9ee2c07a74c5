"""Chips as data: limits, registers and prices, each number with its unit, source and evidence class."""
