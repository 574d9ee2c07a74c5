"""Converting a conventional network: what its activations do on data, the converted network, and how it fares."""
