"""`find_encoder`: the layers that lead down to the bottleneck."""

import keras

from dca_keras.layers import DualCrossAttention
from dca_keras.surgery._graph import Graph
from dca_keras.surgery._skips import bottlenecks


def find_encoder(model: keras.Model) -> list[keras.Layer]:
    """Find the layers of an encoder-decoder's encoder that have weights.

    The encoder is what the bottleneck, the coarsest tensor from which the
    model goes up again, is computed from; what lies on skip connections is
    not. Of networks in a row (DoubleU-Net) it is the first one's. Models used
    as layers are looked into. Names play no part but one: where a decoder
    begins before it goes up (the gates of ResUnet++), its layers are those
    that are called "decoder".

    Args:
        model: As in `find_skips`.

    Returns:
        A list of layers in the order of the graph.

    Raises:
        ValueError: If the model has no graph of layers, or never goes up.

    Example:

    >>> model = dca_keras.zoo.unet()
    >>> for layer in find_encoder(model):
    ...     layer.trainable = False
    """
    graph = Graph(model)
    places = bottlenecks(graph)
    if not places:
        raise ValueError(
            "`model` must be an encoder-decoder, which goes down to coarser "
            f"features and up again. {graph.root.name!r} does not."
        )
    found = dict.fromkeys(
        call.operation
        for call in graph.calls
        if any(places[-1].descends_from(x) for x in call.outputs)
        and isinstance(call.operation, keras.Layer)
    )
    return [
        layer
        for layer in found
        if layer.weights
        and not isinstance(layer, DualCrossAttention)
        and not layer.name.startswith("decoder")
    ]
