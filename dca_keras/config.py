"""What a builder needs to know about its Dual Cross-Attention."""

import dataclasses


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
        blocks: How many times channel and spatial attention follow each
            other, at least 1.
        channel_heads: Heads of the channel cross-attention; divides every
            skip's channels.
        spatial_heads: Heads of the spatial cross-attention; divides every
            skip's channels.
        channel_attention: Whether tokens attend across channels (CCA).
        spatial_attention: Whether tokens attend across space (SCA). With both
            off, what remains is the skip's residual, convolution, batch norm
            and ReLU: the control for what attention itself brings.
        token_activation: Adds the LayerNorm and GELU that the paper's figure 2
            draws after the attentions. The published code has neither.

    Raises:
        ValueError: If a number is not a positive integer or a switch is not a
            boolean.

    Reference:
        [Dual Cross-Attention, sections 3.1 to 3.3](
        https://arxiv.org/abs/2303.17696)
    """

    patch_size: int | None = None
    blocks: int = 1
    channel_heads: int = 1
    spatial_heads: int = 4
    channel_attention: bool = True
    spatial_attention: bool = True
    token_activation: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is bool:
                valid, rule = isinstance(value, bool), "True or False"
            else:
                valid = is_positive_int(value) or (
                    field.name == "patch_size" and value is None
                )
                rule = "a positive integer"
            if not valid:
                raise ValueError(
                    f"`{field.name}` must be {rule}. Received: {value!r}."
                )


def is_positive_int(value):
    """Whether `value` is an integer (a boolean is none) of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
