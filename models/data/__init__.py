"""Recordings and data sets: reading their files, cutting event streams into time steps, splits."""
