"""What protoc makes of deployments/facefx.proto; make it anew with `python -m facefx.cluster.proto`."""
