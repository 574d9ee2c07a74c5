"""The event-driven engine: kernels compiled by numba, and the runner that calls them."""
