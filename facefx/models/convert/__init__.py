"""From the TFLite files of their origin to the ONNX files that ship; needs the `build` extra."""
