"""`find_skips`, and what it returns."""

import collections.abc
import dataclasses

import keras

from dca_keras.surgery._graph import Graph
from dca_keras.surgery._skips import Anatomy, bottlenecks


@dataclasses.dataclass(frozen=True)
class Skip:
    """A tensor that leaves the encoder and rejoins the decoder.

    Args:
        layer: Name of the layer that computes it; "outer/inner" for a layer
            of a model in the model.
        tensor: The Keras tensor.
        stride: For each axis, how many pixels of the input one pixel of the
            tensor stands for.
        joins: Names of the layers where it rejoins.
    """

    layer: str
    tensor: object = dataclasses.field(repr=False)
    stride: tuple
    joins: tuple

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The tensor's shape, the batch included."""
        return tuple(self.tensor.shape)


class Skips(collections.abc.Sequence):
    """Skips from the finest to the coarsest; prints as a table."""

    def __init__(
        self, skips: collections.abc.Iterable[Skip], model_name: str
    ) -> None:
        self._skips = tuple(skips)
        self._model_name = model_name

    def __getitem__(self, index):
        return self._skips[index]

    def __len__(self):
        return len(self._skips)

    def __repr__(self):
        if not self:
            return f"No skips found in {self._model_name!r}."
        rows = [("layer", "shape", "stride", "rejoins at")]
        for skip in self:
            stride = "x".join(str(step) for step in skip.stride)
            joins = ", ".join(skip.joins)
            rows.append((skip.layer, str(skip.shape), stride, joins))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{len(self)} skips of {self._model_name!r}"]
        for row in rows:
            cells = zip(row, widths, strict=True)
            line = "  ".join(cell.ljust(width) for cell, width in cells)
            lines.append(line.rstrip())
        return "\n".join(lines)


def find_skips(model: keras.Model) -> Skips:
    """Find the skip connections of an encoder-decoder.

    The layers' names play no part. The encoder is what the bottleneck (the
    coarsest tensor from which the model goes up again) is computed from, and
    a skip is a tensor of the encoder that meets, at its own resolution, what
    is computed from the bottleneck: in a `Concatenate`, an `Add`, an attention
    gate or any other layer of several inputs, at once or through layers of its
    own. Shortcuts within a stage are none, as nothing that they meet comes
    from the bottleneck.

    There is one skip for each resolution. Where several tensors of the
    encoder rejoin at one resolution, it is the last of them. In U-Net++ the
    encoder's tensors are skips, which several nodes read. Where several of the
    encoder's tensors come together before they rejoin, or what leaves it is
    tokens, the image or of another resolution (UNETR), the skip is the tensor
    that rejoins. Of networks in a row (DoubleU-Net) the last one's skips are
    found. Models used as layers are looked into.

    Args:
        model: A functional `keras.Model` from images or volumes, channels
            last, with sides known or `None`.

    Returns:
        A sequence of `Skip`s from the finest to the coarsest, empty if there
        are none. Print it to check it, and hand others to `insert_dca` if it
        is not what you mean.

    Raises:
        ValueError: If the model has no graph of layers, no image among its
            inputs, or its channels first.

    Example:

    >>> print(find_skips(dca_keras.zoo.unet(dca=False)))
    4 skips of 'unet'
    layer             shape                  stride  rejoins at
    encoder_1_2_conv  (None, 224, 224, 32)   1x1     decoder_1_concat
    encoder_2_2_conv  (None, 112, 112, 64)   2x2     decoder_2_concat
    encoder_3_2_conv  (None, 56, 56, 128)    4x4     decoder_3_concat
    encoder_4_2_conv  (None, 28, 28, 256)    8x8     decoder_4_concat
    """
    graph = Graph(model)
    anatomy, pairs = find(graph)
    tensors = [skip for skip, _ in pairs]
    found = []
    for skip in tensors:
        joins = anatomy.joins(anatomy.readers(skip, tensors))
        stride = tuple(map(_plain, skip.stride))
        names = tuple(call.name for call in joins)
        found.append(Skip(layer_name(skip), keras_tensor(skip), stride, names))
    return Skips(found, graph.root.name)


def find(graph):
    """Return the graph's `Anatomy`, and each skip with its path's end.

    From the finest to the coarsest; there may be none.
    """
    places = bottlenecks(graph)
    if not places:
        return None, []
    anatomy = Anatomy(graph, places[0])
    best = {}  # by stride
    for skip, end in anatomy.candidates():
        # The encoder's tensors before others, and the last of them.
        rank = (anatomy.in_encoder(skip), skip.depth, skip.index)
        if skip.stride not in best or rank > best[skip.stride][0]:
            best[skip.stride] = rank, skip, end
    pairs = [pair for _, *pair in best.values()]
    return anatomy, sorted(pairs, key=lambda pair: pair[0].scale)


def keras_tensor(tensor):
    """Return the Keras tensor of the outermost model that has it."""
    return tensor.aliases[min(tensor.aliases, key=len)][0]


def layer_name(tensor):
    """Return the name of the layer that computes `tensor`."""
    if tensor.producer is None:
        return keras_tensor(tensor).name
    return tensor.producer.name


def _plain(step):
    """Return a whole number as an integer."""
    return int(step) if step.denominator == 1 else step
