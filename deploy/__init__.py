"""Deployments: compiling, running, estimating, reporting."""
