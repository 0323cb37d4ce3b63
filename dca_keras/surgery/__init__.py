"""Dual Cross-Attention for models that somebody else built."""

from dca_keras.surgery._encoder import find_encoder
from dca_keras.surgery._find import Skip, Skips, find_skips
from dca_keras.surgery._insert import insert_dca

__all__ = ["Skip", "Skips", "find_encoder", "find_skips", "insert_dca"]
