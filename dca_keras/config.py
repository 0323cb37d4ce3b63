"""What a builder needs to know about its Dual Cross-Attention."""

import dataclasses

from dca_keras._fields import (
    COUNT,
    SWITCH,
    check,
    field,
    is_positive_int,
    one_of,
)

__all__ = ["ATTENTION", "DCAConfig", "is_positive_int"]


@dataclasses.dataclass(frozen=True)
class DCAConfig:
    """The settings of a model's Dual Cross-Attention.

    Paper's symbols: h is `channel_heads` in the channel attention and
    `spatial_heads` in the spatial one; P, the side of the token grid, is the
    image's side over `patch_size`.

    Args:
        patch_size: Side, in pixels of the full-resolution stage, of the square
            that one token stands for. `None` is the smallest that reaches the
            deepest skip: 8 with four skips, 4 with ResUnet++'s three.
        blocks: Number of times that channel and spatial attention follow each
            other, at least 1.
        channel_heads: Number of heads of the channel cross-attention; divides
            every skip's channels.
        spatial_heads: Number of heads of the spatial cross-attention; divides
            every skip's channels.
        channel_attention: Whether tokens attend across channels (CCA).
        spatial_attention: Whether tokens attend across space (SCA). With both
            off, what remains is the skip's residual, convolution, batch norm
            and ReLU: the control for what attention itself brings.
        token_activation: Whether tokens pass the LayerNorm and GELU that the
            paper's figure 2 draws after the attentions. The published code
            has neither.
        start: "paper", or "identity" for our own variant: a skip plus a
            learned gate, zero at first, times what DCA changes of it. A model
            then starts as the one without DCA, whose output it has.

    Raises:
        ValueError: If a number is not a positive integer, a switch is not a
            boolean, or `start` is neither of the two.

    Reference:
        [Dual Cross-Attention, sections 3.1 to 3.3](
        https://arxiv.org/abs/2303.17696)
    """

    patch_size: int | None = field(
        "Side in pixels of the square that one token of DCA stands for.",
        COUNT,
        None,
    )
    blocks: int = field(
        "How many times DCA's two attentions follow each other.", COUNT, 1
    )
    channel_heads: int = field("Heads of the channel attention.", COUNT, 1)
    spatial_heads: int = field("Heads of the spatial attention.", COUNT, 4)
    channel_attention: bool = field(
        "Let DCA's tokens attend across channels.", SWITCH, True
    )
    spatial_attention: bool = field(
        "Let DCA's tokens attend across space.", SWITCH, True
    )
    token_activation: bool = field(
        "LayerNorm and GELU after DCA's attentions.", SWITCH, False
    )
    start: str = field(
        "paper, or identity: DCA's changes to the skips pass a learned gate "
        "that is zero at first.",
        one_of(("paper", "identity")),
        "paper",
    )

    def __post_init__(self):
        check(self)


# The names of its fields, which recipes have too.
ATTENTION = tuple(own.name for own in dataclasses.fields(DCAConfig))
