"""The parts of Dual Cross-Attention as Keras layers."""

from dca_keras.layers.affine import Affine
from dca_keras.layers.aligned_upsampling import AlignedUpsampling
from dca_keras.layers.channel_cross_attention import ChannelCrossAttention
from dca_keras.layers.dual_cross_attention import DualCrossAttention
from dca_keras.layers.patch_embedding import PatchEmbedding
from dca_keras.layers.skip_reconstruction import SkipReconstruction
from dca_keras.layers.spatial_cross_attention import SpatialCrossAttention

__all__ = [
    "Affine",
    "AlignedUpsampling",
    "ChannelCrossAttention",
    "DualCrossAttention",
    "PatchEmbedding",
    "SkipReconstruction",
    "SpatialCrossAttention",
]
