"""Turn a published weight file into the ONNX graph that `zoo.session` runs.

One module per source format, each with `convert(src, card) -> bytes`; `registry` names them. Only these modules import
onnx, and only while a conversion runs.
"""
