"""ONNX files as Networks: `spikeport.converters.read.onnx.read.read_onnx`."""
