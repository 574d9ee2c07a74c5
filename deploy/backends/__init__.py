"""What can run a network: float, simulator."""
