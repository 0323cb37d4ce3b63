"""Where the published PyTorch code keeps each weight of our models.

A rule pairs a layer of ours with the published module. In a rule, `{i}` is a
stage or skip counted from the finest, `{j}` a step within it, `{block}` any of
encoder_i, bottom and decoder_i; `{conv_or_norm}` keeps its name and
`{bn_or_prelu}`, `{role}` are renamed as in `_RENAMED`. The published modules
count the decoder from the bottom up (`{up}`), all blocks in a row (`{k}`), and
lists from zero (`{i0}`, `{j0}`).
"""

import re

_UNIT = (
    ("1_{conv_or_norm}", "conv1.{conv_or_norm}"),
    ("2_conv", "conv2.conv"),
    ("2_norm", "bn"),
    ("reduce", "se.fc.0"),
    ("expand", "se.fc.2"),
)
_RESIDUAL_UNIT = (
    ("1_norm", "conv.0.bn"),
    ("1_conv", "conv.1"),
    ("2_norm", "conv.2.bn"),
    ("2_conv", "conv.3"),
    ("shortcut_conv", "skip"),
)
_PYRAMID = (
    ("branch_{j}_{conv_or_norm}", "block{j}.{conv_or_norm}"),
    ("out_{conv_or_norm}", "out.{conv_or_norm}"),
)


def _inside(ours, published, rules):
    """Prefix a part's rules with its own and its published name."""
    return tuple(
        (f"{ours}_{inner}", f"{published}.{outer}") for inner, outer in rules
    )


def _attention(ours, published):
    """Return the rules of a DualCrossAttention layer."""
    rules = [
        ("embedding_{i}/affine", "avg_map.{i0}.proj.depthwise"),
        ("reconstruction_{i}/conv", "upconvs.{i0}.conv.conv"),
        ("reconstruction_{i}/norm", "bn_relu.{i0}.0"),
    ]
    for kind in ("channel", "spatial"):
        inner = f"{kind[0]}_attention.{{i0}}.{{role}}.proj.depthwise"
        rules += [
            (
                f"block_{{j}}_{kind}/norm_{{i}}",
                f"attention.{{j0}}.{kind}_norm.{{i0}}",
            ),
            (f"block_{{j}}_{kind}/{{role}}_{{i}}", f"attention.{{j0}}.{inner}"),
        ]
    return tuple((ours + mine, published + other) for mine, other in rules)


# What the published names of all attention modules begin with.
PUBLISHED_ATTENTION = "DCA"
MODULE_RULES = _attention("", "")
RULES = {
    "unet": (
        ("encoder_{i}_1_{conv_or_norm}", "conv{i}.conv1.{conv_or_norm}"),
        ("encoder_{i}_2_conv", "conv{i}.conv2.conv"),
        ("encoder_{i}_2_norm", "norm{i}"),
        ("bottom_{j}_{conv_or_norm}", "conv{bottom}.conv{j}.{conv_or_norm}"),
        ("decoder_{i}_up_{conv_or_norm}", "up{up}.conv.{conv_or_norm}"),
        (
            "decoder_{i}_{j}_{conv_or_norm}",
            "upconv{up}.conv{j}.{conv_or_norm}",
        ),
        ("head", "out.conv"),
        *_attention("dca/", "DCA."),
    ),
    "vnet": (
        ("encoder_1_1_conv", "conv1.conv"),
        ("encoder_1_shortcut_conv", "conv1.conv_skip"),
        ("decoder_1_1_conv", "up{bottom_less_1}.conv"),
        ("decoder_{i}_up_conv", "up{up}.up"),
        ("decoder_{i}_up_{bn_or_prelu}", "up{up}.{bn_or_prelu}_in"),
        ("decoder_{i}_{j}_conv", "up{up}.conv.{j0}.conv"),
        ("decoder_{i}_{j}_{bn_or_prelu}", "up{up}.conv.{j0}.{bn_or_prelu}"),
        ("decoder_{i}_out_{bn_or_prelu}", "up{up}.{bn_or_prelu}"),
        ("{block}_down_conv", "conv{k}.down"),
        ("{block}_{j}_conv", "conv{k}.conv.{j0}.conv"),
        ("{block}_{j}_{bn_or_prelu}", "conv{k}.conv.{j0}.{bn_or_prelu}"),
        ("{block}_out_{bn_or_prelu}", "conv{k}.{bn_or_prelu}"),
        ("head", "out"),
        *_attention("dca/", "DCA."),
    ),
    "r2_unet": (
        ("decoder_{i}_up_{conv_or_norm}", "up{up}.conv.{conv_or_norm}"),
        ("{block}_in_conv", "rconv{k}.conv.conv"),
        ("{block}_in_norm", "rconv{k}.norm_c"),
        (
            "{block}_{j}_{conv_or_norm}",
            "rconv{k}.block.{j0}.conv.{conv_or_norm}",
        ),
        ("{block}_out_norm", "rconv{k}.norm"),
        ("head", "out"),
        *_attention("dca/", "DCA."),
    ),
    "resunet_plus_plus": (
        ("stem_1_{conv_or_norm}", "input_layer.0.{conv_or_norm}"),
        ("stem_2_conv", "input_layer.1"),
        ("stem_shortcut_conv", "input_skip.0"),
        ("encoder_{i}_reduce", "squeeze_excite{i}.fc.0"),
        ("encoder_{i}_expand", "squeeze_excite{i}.fc.2"),
        *_inside("encoder_{i}", "residual_conv{i}", _RESIDUAL_UNIT),
        *_inside("decoder_{i}", "up_residual_conv{up}", _RESIDUAL_UNIT),
        ("decoder_{i}_gate_skip_norm", "attn{up}.conv_encoder.0"),
        ("decoder_{i}_gate_skip_conv", "attn{up}.conv_encoder.2"),
        ("decoder_{i}_gate_x_norm", "attn{up}.conv_decoder.0"),
        ("decoder_{i}_gate_x_conv", "attn{up}.conv_decoder.2"),
        ("decoder_{i}_gate_out_norm", "attn{up}.conv_attn.0"),
        ("decoder_{i}_gate_out_conv", "attn{up}.conv_attn.2"),
        *_inside("bottom", "aspp_bridge", _PYRAMID),
        *_inside("top", "aspp_out", _PYRAMID),
        ("head", "output_layer"),
        *_attention("dca/", "DCA."),
    ),
    "double_unet": (
        ("vgg_{i}_{j}_conv", "vgg{i}.{vgg_index}"),
        *_inside("first_pyramid", "aspp_1", _PYRAMID),
        *_inside("first_decoder_{i}", "decode{up}", _UNIT),
        ("first_out_conv", "out1.0"),
        *_inside("second_encoder_{i}", "encode2_{i}", _UNIT),
        *_inside("second_pyramid", "aspp_2", _PYRAMID),
        *_inside("second_decoder_{i}", "decode2_{up}", _UNIT),
        ("head", "out"),
        *_attention("vgg_dca_1/", "DCA_vgg1."),
        *_attention("vgg_dca_2/", "DCA_vgg2."),
        *_attention("second_dca/", "DCA."),
    ),
    "multi_res_unet": (
        ("decoder_{i}_up_conv", "up{up}.0"),
        ("decoder_{i}_up_norm", "up{up}.1"),
        ("{block}_shortcut_{conv_or_norm}", "mr{k}.skip.{conv_or_norm}"),
        ("{block}_{j}_{conv_or_norm}", "mr{k}.c{j}.{conv_or_norm}"),
        ("{block}_branches_norm", "mr{k}.bn1"),
        ("path_{i}_{j}_conv", "respath{i}.convs.{j0}.conv"),
        ("path_{i}_{j}_shortcut_conv", "respath{i}.skips.{j0}.conv"),
        ("path_{i}_{j}_norm", "respath{i}.bns.{j0}"),
        ("head", "out"),
        *_attention("dca/", "DCA."),
    ),
}

_RENAMED = {
    "conv_or_norm": {"conv": "conv", "norm": "norm"},
    "bn_or_prelu": {"norm": "bn", "prelu": "prelu"},
    "role": {
        "query": "q_map",
        "key": "k_map",
        "value": "v_map",
        "projection": "projection",
    },
}
# Index of each VGG19 group's first convolution in torchvision's sequence.
_VGG_STARTS = (0, 5, 10, 19, 28)


def published_module(layer, rules, num_stages):
    """Return the published module for our layer, or None if no rule fits."""
    for ours, published in rules:
        match = re.fullmatch(_pattern(ours), layer)
        if match:
            return published.format(**_fields(match.groupdict(), num_stages))
    return None


def _pattern(rule):
    rule = re.sub(r"\{([ij])\}", r"(?P<\1>\\d+)", rule)
    rule = rule.replace(
        "{block}", r"(?P<block>encoder|bottom|decoder)(_(?P<i>\d+))?"
    )
    for field, names in _RENAMED.items():
        rule = rule.replace(f"{{{field}}}", f"(?P<{field}>{'|'.join(names)})")
    return rule


def _fields(groups, num_stages):
    fields = {"bottom": num_stages + 1, "bottom_less_1": num_stages}
    for key, value in groups.items():
        if key in _RENAMED:
            fields[key] = _RENAMED[key][value]
        elif key in "ij" and value is not None:
            fields[key] = int(value)
            fields[f"{key}0"] = int(value) - 1
    stage = fields.get("i")
    if stage is not None:
        fields["up"] = num_stages + 1 - stage
        if "j" in fields and stage <= len(_VGG_STARTS):
            # Every convolution is followed by a ReLU.
            fields["vgg_index"] = _VGG_STARTS[stage - 1] + 2 * fields["j0"]
    fields["k"] = {
        "encoder": stage,
        "bottom": num_stages + 1,
        "decoder": num_stages + 1 + fields.get("up", 0),
    }.get(groups.get("block"))
    return fields
