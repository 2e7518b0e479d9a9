"""Weights → sessions: the catalog, the store, the converter; the only user of onnxruntime."""
