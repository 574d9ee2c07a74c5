"""DA-LIF (Zhang et al. 2025, arXiv:2502.10422): networks whose layers learn how to weigh input and past."""
