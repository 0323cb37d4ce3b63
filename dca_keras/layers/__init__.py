"""The parts of Dual Cross-Attention, and of the zoo, as Keras layers."""

from dca_keras.layers.affine import Affine
from dca_keras.layers.aligned_upsampling import AlignedUpsampling
from dca_keras.layers.channel_cross_attention import ChannelCrossAttention
from dca_keras.layers.dual_cross_attention import DualCrossAttention
from dca_keras.layers.image_scaling import ImageScaling
from dca_keras.layers.patch_embedding import PatchEmbedding
from dca_keras.layers.position_embedding import PositionEmbedding
from dca_keras.layers.self_attention import SelfAttention
from dca_keras.layers.skip_reconstruction import SkipReconstruction
from dca_keras.layers.space_to_depth import DepthToSpace, SpaceToDepth
from dca_keras.layers.spatial_cross_attention import SpatialCrossAttention
from dca_keras.layers.standardized_conv import StandardizedConv2D

__all__ = [
    "Affine",
    "AlignedUpsampling",
    "ChannelCrossAttention",
    "DepthToSpace",
    "DualCrossAttention",
    "ImageScaling",
    "PatchEmbedding",
    "PositionEmbedding",
    "SelfAttention",
    "SkipReconstruction",
    "SpaceToDepth",
    "SpatialCrossAttention",
    "StandardizedConv2D",
]
