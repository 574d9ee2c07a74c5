"""Skip-connection optimisation (Benmeziane et al. 2023, arXiv:2303.13563): which skips a network should have."""
