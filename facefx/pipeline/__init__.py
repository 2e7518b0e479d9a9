"""The graph: stages, plan, and the runner that needs no cluster."""
