"""Which ONNX operator is read by which function, and what to do about those that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from spikeport.converters.read.onnx import activations, arithmetic, pools, reorder, weighted
from spikeport.converters.read.onnx.build import Build, Signal, Value
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.errors import ModelError

Rule = Callable[[OnnxNode, Build], Value]


def _same(node: OnnxNode, build: Build) -> Signal:
    return build.signal(node)


def _dropout(node: OnnxNode, build: Build) -> Signal:
    training = build.constant(node, 2)
    if training is not None and np.any(training):
        raise ModelError(f"{node} is in training mode. Export the model in evaluation mode: model.eval().")
    return build.signal(node)


def _cast(node: OnnxNode, build: Build) -> Signal:
    # onnx.TensorProto: FLOAT, FLOAT16, DOUBLE, BFLOAT16.
    if node.integer("to", 0) not in (1, 10, 11, 16):
        raise ModelError(f"{node} makes whole numbers of a signal, which no linear layer does. Take it out.")
    return build.signal(node)


def _shape(node: OnnxNode, build: Build) -> Value:
    whole = (build.batch, *build.signal(node).shape)
    start, stop = node.integer("start", 0), node.integer("end", len(whole))
    return np.array(whole[start:stop], np.int64)


RULES: Mapping[str, Rule] = {
    "Gemm": weighted.gemm,
    "MatMul": weighted.matmul,
    "Conv": weighted.conv,
    "BatchNormalization": weighted.batch_norm,
    "Relu": activations.relu,
    "Clip": activations.clip,
    "Min": activations.minimum,
    "Max": activations.maximum,
    "QCFS": activations.qcfs,
    "QuantizeLinear": activations.quantize,
    "DequantizeLinear": activations.dequantize,
    "Quant": activations.fake_quantized,
    "Softmax": activations.end,
    "LogSoftmax": activations.end,
    "ArgMax": activations.end,
    "AveragePool": pools.average_pool,
    "GlobalAveragePool": pools.global_average_pool,
    "ReduceMean": pools.reduce_axes,
    "ReduceSum": pools.reduce_axes,
    "MaxPool": pools.max_pool,
    "Add": arithmetic.add,
    "Sum": arithmetic.add,
    "Sub": arithmetic.sub,
    "Mul": arithmetic.mul,
    "Div": arithmetic.div,
    "Neg": arithmetic.neg,
    "Flatten": reorder.flatten,
    "Reshape": reorder.reshape,
    "Squeeze": reorder.squeeze,
    "Unsqueeze": reorder.unsqueeze,
    "Transpose": reorder.transpose,
    "Concat": reorder.concat,
    "Pad": reorder.pad,
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
    "Shape": _shape,
}

_RECTIFY = "Train with ReLU, ReLU6 or QCFS: neurons send no negative or smooth values."
_SMOOTH = ("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu", "Mish",
           "Softplus", "Softsign", "Swish", "ThresholdedRelu", "Erf")  # fmt: skip
_NORMS = ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization", "LRN",
          "MeanVarianceNormalization", "RMSNormalization")  # fmt: skip
_INTEGER = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm", "DynamicQuantizeLinear")
_LOOPS = ("LSTM", "GRU", "RNN", "Loop", "If", "Scan")

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(_SMOOTH, _RECTIFY),
    **dict.fromkeys(_NORMS, "It divides by what each sample is. Use batch normalisation, which becomes weights."),
    **dict.fromkeys(_INTEGER, "Export in QDQ form (QuantizeLinear and DequantizeLinear around float operators)."),
    **dict.fromkeys(_LOOPS, "Recurrence is read from spiking networks only. Use a feed-forward network."),
    "ConvTranspose": "Use a convolution behind the enlarged image at training time, or leave the decoder out.",
    "Resize": "Change the size of images before they enter the network.",
    "Upsample": "Change the size of images before they enter the network.",
    "Floor": "It is no QCFS activation whose constants match (docs/onnx.md). Train with ReLU or QCFS.",
    "Round": "It is no QCFS activation whose constants match (docs/onnx.md). Train with ReLU or QCFS.",
    "BipolarQuant": "Signs of activations cannot be converted. Train with ReLU.",
    "GlobalMaxPool": "Use MaxPool with the image's size as its kernel, or GlobalAveragePool.",
    "Attention": "Products of signals are no linear layers. Use a network without attention.",
}


def refusal(node: OnnxNode) -> str:
    """Why a node cannot be read, and what to do."""
    return f"{node} is not read. {REFUSED.get(node.op, 'docs/onnx.md lists what is; take it out or replace it.')}"
