"""Writers: a Network back to the exchange formats."""
