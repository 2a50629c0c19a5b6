"""Prefect tasks: each loads its inputs, calls one component, saves what came out."""
