"""The attentions and the reconstruction for less time and memory.

Every function here computes what the `call` of the layer that it is given
computes otherwise, and takes the layer's weights; tests compare the two on
every backend. The equations are in `call`. What is gained, in this order:

- Layer norms and affines are one scale and one bias a channel. They are folded
  into one another, so that few of them pass over the tokens (`folding`).
- Spatial attention takes its queries in blocks where whole maps of scores
  would be large, and its gradient is written out (`attention`).
- The reconstruction recomputes what is as large as the skip in the backward
  pass, and at inference its batch norm acts before the upsampling.
"""

from dca_keras.layers._fast.channel import attend_across_channels
from dca_keras.layers._fast.reconstruction import reconstruct
from dca_keras.layers._fast.spatial import attend_across_space

__all__ = ["attend_across_channels", "attend_across_space", "reconstruct"]
