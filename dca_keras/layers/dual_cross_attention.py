from collections.abc import Sequence

import keras

from dca_keras.config import DCAConfig, is_positive_int
from dca_keras.layers.aligned_upsampling import along_axes
from dca_keras.layers.channel_cross_attention import ChannelCrossAttention
from dca_keras.layers.cross_attention import check_heads
from dca_keras.layers.patch_embedding import PatchEmbedding
from dca_keras.layers.skip_reconstruction import SkipReconstruction
from dca_keras.layers.spatial_cross_attention import (
    SpatialCrossAttention,
    check_query_block,
)

# What the layer shares with `DCAConfig`, which checks it.
OPTIONS = (
    "blocks",
    "channel_heads",
    "spatial_heads",
    "channel_attention",
    "spatial_attention",
    "token_activation",
    "start",
)


@keras.saving.register_keras_serializable(package="dca_keras")
class DualCrossAttention(keras.layers.Layer):
    """Let an encoder's skips attend across channels, then across space.

    Every skip is pooled to one grid of tokens; `blocks` times, the tokens of
    each stage attend to those of all stages, by channel and then by place;
    what comes out is brought back to the skip's size and added to it, before
    batch norm and ReLU.

    Paper's symbols: E_i are the skips, C_i their channels, P the side of the
    token grid (a skip's side over its patch size), h the numbers of heads.

    Args:
        patch_sizes: One pooling window a skip, in pixels of that skip, in
            the skips' order: its side, or a tuple with a side for each axis.
        blocks: Number of times that channel and spatial attention follow each
            other.
        channel_heads: Number of heads of the channel attention.
        spatial_heads: Number of heads of the spatial attention.
        channel_attention: Whether there is channel attention.
        spatial_attention: Whether there is spatial attention.
        token_activation: Whether tokens pass LayerNorm and GELU after the
            attentions, as in the paper's figure 2 (not in its code).
        query_block: Number of queries whose scores the spatial attention
            computes at a time; `None` chooses. It changes no result, only
            time and memory: see `SpatialCrossAttention`.
        recompute: Whether training recomputes in the backward pass what lies
            between the tokens and the attentions' outputs, for less memory.
            It changes no result.
        fast: Whether to compute the same function with less time and memory.
            With `False` every part runs as its `call` is written, to read
            along or to change it.
        start: "paper", or "identity" for our own variant, which is not in
            the paper: a skip plus a learned gate, zero at first, times what
            the rest changes of it. The layer starts as the identity.

    Call arguments:
        skips: List of tensors, the encoder's feature maps.
        training: Whether gradients will be taken.
        return_attention_scores: Whether to return the scores, too, for which
            the attentions run as their `call` is written.

    Input shape:
        A list of at least two `(batch, height_i, width_i, channels_i)` or
        `(batch, depth_i, height_i, width_i, channels_i)`, sides known or
        `None`.

    Output shape:
        A list of the same shapes. With `return_attention_scores=True` also a
        list with one dictionary a block, whose entries "channel" and
        "spatial" hold one array a skip: `(batch, channel_heads, channels_i /
        channel_heads, channels / channel_heads)` and
        `(batch, spatial_heads, tokens, tokens)`.

    Raises:
        ValueError: If an option is not as described; at build, if there are
            fewer than two skips or not as many as patch sizes, if a patch
            size does not divide its skip's sides, if the skips' token grids
            differ, or if the heads do not divide every width.

    Example:

    >>> skips = [keras.random.normal((1, 32, 32, 16)),
    ...          keras.random.normal((1, 16, 16, 32))]
    >>> skips = DualCrossAttention(patch_sizes=(4, 2))(skips)

    Reference:
        [Dual Cross-Attention, section 3](https://arxiv.org/abs/2303.17696)
    """

    def __init__(
        self,
        patch_sizes: Sequence[int | tuple[int, ...]] = (8, 4, 2, 1),
        blocks: int = 1,
        channel_heads: int = 1,
        spatial_heads: int = 4,
        channel_attention: bool = True,
        spatial_attention: bool = True,
        token_activation: bool = False,
        query_block: int | None = None,
        recompute: bool = False,
        fast: bool = True,
        start: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.patch_sizes = tuple(_patch_size(size) for size in patch_sizes)
        self.blocks = blocks
        self.channel_heads = channel_heads
        self.spatial_heads = spatial_heads
        self.channel_attention = channel_attention
        self.spatial_attention = spatial_attention
        self.token_activation = token_activation
        self.start = start
        # The same names under the same rules; a wrong value raises here.
        DCAConfig(**{name: getattr(self, name) for name in OPTIONS})
        check_query_block(query_block)
        self.query_block = query_block
        self.recompute = recompute
        self.fast = fast

    def build(self, input_shape):
        self._check_skips(input_shape)
        self.embeddings, self.attentions, self.reconstructions = [], [], []
        token_shapes = []
        for i, (patch, shape) in enumerate(
            zip(self.patch_sizes, input_shape, strict=True), 1
        ):
            embedding = PatchEmbedding(
                patch, name=f"embedding_{i}", dtype=self.dtype_policy
            )
            embedding.build(shape)
            self.embeddings.append(embedding)
            token_shapes.append(embedding.compute_output_shape(shape))
        for block in range(1, self.blocks + 1):
            for kind, attention, options in self._attentions():
                layer = attention(
                    **options,
                    recompute=self.recompute,
                    fast=self.fast,
                    name=f"block_{block}_{kind}",
                    dtype=self.dtype_policy,
                )
                layer.build(token_shapes)
                self.attentions.append(layer)
        for i, patch in enumerate(self.patch_sizes, 1):
            reconstruction = SkipReconstruction(
                patch,
                self.token_activation,
                self.fast,
                self.start,
                name=f"reconstruction_{i}",
                dtype=self.dtype_policy,
            )
            reconstruction.build(token_shapes[i - 1], input_shape[i - 1])
            self.reconstructions.append(reconstruction)

    def call(self, skips, training=None, return_attention_scores=False):
        tokens = [
            embed(skip)
            for embed, skip in zip(self.embeddings, skips, strict=True)
        ]  # each (batch, tokens, channels_i)
        all_scores = []
        for attention in self.attentions:
            tokens = attention(
                tokens,
                training=training,
                return_attention_scores=return_attention_scores,
            )
            if return_attention_scores:
                tokens, scores = tokens
                all_scores.append(scores)
        outputs = [
            reconstruct(stage, skip, training=training)
            for reconstruct, stage, skip in zip(
                self.reconstructions, tokens, skips, strict=True
            )
        ]
        if return_attention_scores:
            return outputs, self._scores_by_block(all_scores)
        return outputs

    def _attentions(self):
        """Return the kind, class and options of each attention of a block."""
        attentions = []
        if self.channel_attention:
            options = {"heads": self.channel_heads}
            attentions.append(("channel", ChannelCrossAttention, options))
        if self.spatial_attention:
            options = {
                "heads": self.spatial_heads,
                "query_block": self.query_block,
            }
            attentions.append(("spatial", SpatialCrossAttention, options))
        return attentions

    def _scores_by_block(self, scores):
        kinds = [kind for kind, _, _ in self._attentions()]
        scores = iter(scores)
        return [
            {kind: next(scores) for kind in kinds} for _ in range(self.blocks)
        ]

    def _check_skips(self, shapes):
        if len(shapes) < 2 or not all(
            isinstance(shape, (tuple, list)) for shape in shapes
        ):
            raise ValueError(
                "`DualCrossAttention` takes a list of at least two skips. "
                f"Received shapes: {shapes}."
            )
        shapes = [tuple(shape) for shape in shapes]
        if {len(shape) for shape in shapes} not in ({4}, {5}):
            raise ValueError(
                "The skips must all be (batch, height, width, channels) or "
                "all (batch, depth, height, width, channels). Received "
                f"shapes: {shapes}."
            )
        if len(shapes) != len(self.patch_sizes):
            raise ValueError(
                "`patch_sizes` must have one entry a skip. Received: "
                f"patch_sizes={self.patch_sizes} for {len(shapes)} skips."
            )
        self._check_grids(shapes)
        widths = [shape[-1] for shape in shapes]
        for kind, _, options in self._attentions():
            check_heads(widths, options["heads"], f"{kind}_heads")

    def _check_grids(self, shapes):
        grids = []
        for shape, patch in zip(shapes, self.patch_sizes, strict=True):
            sides = shape[1:-1]
            windows = along_axes(patch, len(sides))
            if len(windows) != len(sides):
                raise ValueError(
                    "`patch_sizes` must have a number, or one for each axis, "
                    f"for every skip. Received: {patch} for a skip of shape "
                    f"{shape}."
                )
            pairs = list(zip(sides, windows, strict=True))
            if any(side is not None and side % size for side, size in pairs):
                raise ValueError(
                    "`patch_sizes` must divide the sides of their skips. "
                    f"Received: patch size {patch} for a skip of shape "
                    f"{shape}."
                )
            grids.append(tuple(side and side // size for side, size in pairs))
        for sides in zip(*grids, strict=True):
            if len(set(sides) - {None}) > 1:
                raise ValueError(
                    "The skips' sides over their patch sizes must be one "
                    "token grid: a skip half as large needs half the patch "
                    f"size. Received: shapes {shapes} with patch_sizes="
                    f"{self.patch_sizes}, which give the grids {grids}."
                )

    def compute_output_shape(self, input_shape):
        return list(input_shape)

    def compute_output_spec(
        self, skips, training=None, return_attention_scores=False
    ):
        if return_attention_scores:
            # The scores' shapes follow from the computation itself.
            return keras.Operation.compute_output_spec(
                self, skips, return_attention_scores=True
            )
        return super().compute_output_spec(skips)

    def get_config(self):
        return {
            **super().get_config(),
            "patch_sizes": self.patch_sizes,
            **{name: getattr(self, name) for name in OPTIONS},
            "query_block": self.query_block,
            "recompute": self.recompute,
            "fast": self.fast,
        }


def _patch_size(size):
    """Return a patch size as it is kept; a list, as files have it, too."""
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size,)
    if not sides or not all(is_positive_int(side) for side in sides):
        raise ValueError(
            "`patch_sizes` must be positive integers, or one for each axis, "
            f"one a skip. Received: {size}."
        )
    return sides if isinstance(size, (list, tuple)) else size
