"""Dual Cross-Attention written out in plain NumPy, equation by equation.

`python tests/equations.py` writes the small arrays in tests/arrays, which the
layer is then compared with. Everything is float64 and as literal as possible:
loops over heads and stages, the convolution after the upsampling.
"""

import itertools
import json
import math
import pathlib

import numpy as np

ARRAYS = pathlib.Path(__file__).parent / "arrays"
CASES = {
    "two_stages": dict(
        shapes=[(8, 12, 4), (4, 6, 8)], patch_sizes=[4, 2], seed=1
    ),
    "heads_and_blocks": dict(
        shapes=[(8, 8, 8), (4, 4, 16), (2, 2, 8)],
        patch_sizes=[4, 2, 1],
        blocks=2,
        channel_heads=2,
        spatial_heads=8,
        seed=2,
    ),
    "volume_with_token_activation": dict(
        shapes=[(4, 8, 4, 4), (2, 4, 2, 8)],
        patch_sizes=[2, 1],
        token_activation=True,
        seed=3,
    ),
}


def dual_cross_attention(
    skips,
    w,
    patch_sizes,
    blocks=1,
    channel_heads=1,
    spatial_heads=4,
    token_activation=False,
):
    """`skips`: (batch, *sides, channels_i); `w`: weights by our names."""

    def affine(x, name):
        y = x * w[f"{name}/scale"]
        return y + w[f"{name}/bias"] if f"{name}/bias" in w else y

    stages = range(1, len(skips) + 1)
    tokens = [
        affine(_pool(skip, patch), f"embedding_{i}/affine")
        for i, skip, patch in zip(stages, skips, patch_sizes, strict=True)
    ]
    for block in range(1, blocks + 1):
        for kind in ("channel", "spatial"):
            name = f"block_{block}_{kind}"
            normed = [
                _layer_norm(t, w, f"{name}/norm_{i}")
                for i, t in zip(stages, tokens, strict=True)
            ]
            joint = np.concatenate(normed, -1)
            for i, own in zip(stages, normed, strict=True):
                source = (
                    {"query": own, "key": joint, "value": joint}
                    if kind == "channel"
                    else {"query": joint, "key": joint, "value": own}
                )
                q, k, v = (
                    affine(x, f"{name}/{role}_{i}")
                    for role, x in source.items()
                )
                if kind == "channel":
                    attended = _channel(q, k, v, channel_heads)
                else:
                    attended = _spatial(q, k, v, spatial_heads)
                tokens[i - 1] = tokens[i - 1] + affine(
                    attended, f"{name}/projection_{i}"
                )
    outputs = []
    for i, t, skip, patch in zip(
        stages, tokens, skips, patch_sizes, strict=True
    ):
        name = f"reconstruction_{i}"
        if token_activation:
            t = _gelu(_layer_norm(t, w, f"{name}/token_norm"))
        grid = [side // patch for side in skip.shape[1:-1]]
        x = t.reshape(len(t), *grid, t.shape[-1])
        for axis in range(1, x.ndim - 1):
            x = _stretch(x, axis, patch)
        x = x @ w[f"{name}/conv/kernel"] + w[f"{name}/conv/bias"]
        x = _batch_norm(x + skip, w, f"{name}/norm")
        outputs.append(np.maximum(x, 0))
    return outputs


def _channel(q, k, v, heads):
    """softmax(Q^T K / sqrt(C)) V^T, over runs of channels."""
    total = k.shape[-1]
    outputs = []
    for q_h, k_h, v_h in _heads(heads, q, k, v):
        scores = _softmax(q_h.swapaxes(1, 2) @ k_h / np.sqrt(total))
        outputs.append((scores @ v_h.swapaxes(1, 2)).swapaxes(1, 2))
    return np.concatenate(outputs, -1)


def _spatial(q, k, v, heads):
    """softmax(Q K^T / sqrt(C / heads)) V, over runs of channels."""
    total = k.shape[-1]
    outputs = []
    for q_h, k_h, v_h in _heads(heads, q, k, v):
        scores = _softmax(q_h @ k_h.swapaxes(1, 2) / np.sqrt(total / heads))
        outputs.append(scores @ v_h)
    return np.concatenate(outputs, -1)


def _heads(heads, *arrays):
    return zip(*(np.split(a, heads, axis=-1) for a in arrays), strict=True)


def _softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def _layer_norm(x, w, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


def _batch_norm(x, w, name):
    x = x - w[f"{name}/moving_mean"]
    x = x / np.sqrt(w[f"{name}/moving_variance"] + 1e-5)
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


def _gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def _pool(x, patch):
    """Means of patches, row by row: (batch, tokens, channels)."""
    grid = [side // patch for side in x.shape[1:-1]]
    tokens = []
    for corner in itertools.product(*(range(n) for n in grid)):
        window = tuple(slice(patch * c, patch * (c + 1)) for c in corner)
        tokens.append(x[(slice(None), *window)])
    axes = tuple(range(1, x.ndim - 1))
    return np.stack([token.mean(axes) for token in tokens], 1)


def _stretch(x, axis, factor):
    """Linear interpolation with aligned corners along one axis."""
    side = x.shape[axis]
    places = np.linspace(0, side - 1, side * factor)
    return np.apply_along_axis(
        lambda line: np.interp(places, np.arange(side), line), axis, x
    )


def make_case(shapes, seed, **options):
    """Random skips and weights, and the outputs that follow."""
    rng = np.random.default_rng(seed)
    skips = [rng.standard_normal((2, *s)).astype("float32") for s in shapes]
    weights = _random_weights(rng, [s[-1] for s in shapes], **options)
    return (
        skips,
        weights,
        dual_cross_attention(skips, weights, **options),
    )


def _random_weights(
    rng, widths, patch_sizes, blocks=1, token_activation=False, **_
):
    total, w = sum(widths), {}

    def add(name, *shape):
        w[name] = rng.normal(0.3, 0.7, shape).astype("float32")

    for i, width in enumerate(widths, 1):
        names = {f"embedding_{i}/affine": width}
        for block in range(1, blocks + 1):
            joint = {"channel": ("key", "value"), "spatial": ("query", "key")}
            for kind, from_all in joint.items():
                name = f"block_{block}_{kind}"
                add(f"{name}/norm_{i}/gamma", width)
                add(f"{name}/norm_{i}/beta", width)
                for role in ("query", "key", "value", "projection"):
                    size = total if role in from_all else width
                    names[f"{name}/{role}_{i}"] = size
        for name, size in names.items():
            add(f"{name}/scale", size)
            if "spatial/key" not in name:
                add(f"{name}/bias", size)
        name = f"reconstruction_{i}"
        if token_activation:
            add(f"{name}/token_norm/gamma", width)
            add(f"{name}/token_norm/beta", width)
        add(f"{name}/conv/kernel", width, width)
        add(f"{name}/conv/bias", width)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            add(f"{name}/norm/{part}", width)
        w[f"{name}/norm/moving_variance"] = rng.uniform(0.5, 2, width).astype(
            "float32"
        )
    return w


def main():
    ARRAYS.mkdir(exist_ok=True)
    for name, case in CASES.items():
        skips, weights, outputs = make_case(**case)
        arrays = {f"skip/{i}": skip for i, skip in enumerate(skips)}
        arrays |= {f"weight/{key}": value for key, value in weights.items()}
        arrays |= {
            f"output/{i}": output.astype("float32")
            for i, output in enumerate(outputs)
        }
        options = {k: v for k, v in case.items() if k not in ("shapes", "seed")}
        arrays["options"] = np.frombuffer(
            json.dumps(options).encode(), dtype="uint8"
        )
        np.savez_compressed(ARRAYS / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
