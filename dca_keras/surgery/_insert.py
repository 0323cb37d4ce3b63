"""`insert_dca`."""

import collections
import dataclasses
import functools
import itertools
import math
from fractions import Fraction

import keras

from dca_keras.config import DCAConfig
from dca_keras.layers import DualCrossAttention
from dca_keras.surgery._find import Skip, find, keras_tensor, layer_name
from dca_keras.surgery._graph import Graph, functional, ordered_nodes
from dca_keras.surgery._rebuild import CannotCopy, Copies, Edit, rebuild
from dca_keras.surgery._skips import Anatomy, bottlenecks


def insert_dca(model, skips=None, config=None, start="paper", name=None):
    """Put Dual Cross-Attention on the skips of a model that you have.

    Returns a new functional model; `model` stays as it is, and the two share
    no variable. The new one has copies of all layers under their names, with
    their weights, batch norm's statistics, dtype policies and `trainable`
    flags, and one `DualCrossAttention` named "dca". What reads a skip on its
    way to the decoder reads DCA's output; the encoder goes on from the skip
    itself.

    The new model is not compiled, and is a plain `keras.Model` even where
    `model` is of a class of your own.

    Args:
        model: A functional `keras.Model` from images or volumes, channels
            last. It may have models as layers, shared layers, and several
            inputs and outputs.
        skips: What to attend to, at least two: names of layers, layers, Keras
            tensors or `Skip`s. Layers of models in the model are named as
            "outer/inner". `None` is what `find_skips` finds.
        config: A `DCAConfig`; `None` is the paper's. Its `patch_size` is in
            pixels of the finest skip; `None` is the smallest possible, one
            pixel of the coarsest skip. Skips of one resolution have the same
            patch size.
        start: "paper", where DCA changes what the skips carry from the first
            step on, or "identity", which is ours: the skips pass untouched,
            plus a learned gate, zero at first, times what DCA changes of
            them. The new model's output is then the old one's until it is
            trained. `config.start="identity"` says the same.
        name: The new model's name, by default the old one with "_dca".

    Returns:
        A functional `keras.Model` with `model`'s inputs and outputs.

    Raises:
        ValueError: If the model has no graph of layers, channels first, or
            fewer than two skips; if the skips' sizes are not whole multiples
            of the coarsest one's; if a number of heads does not divide the
            skips' channels; if the skips belong to different models in the
            model; or if a layer cannot be copied by its config.

    Example:

    >>> model = keras.saving.load_model("unet.keras")
    >>> print(find_skips(model))
    >>> model = insert_dca(model, start="identity")
    >>> model.compile("adam", "binary_crossentropy")
    """
    config = _check(config, start)
    graph = Graph(model)
    if skips is None:
        _, pairs = find(graph)
        tensors = [skip for skip, _ in pairs]
        ends = [end for _, end in pairs]
    else:
        tensors = ends = _chosen(graph, skips)
    if len(tensors) < 2:
        names = [layer_name(x) for x in tensors]
        raise ValueError(
            "Dual Cross-Attention attends across at least two skips. Found "
            f"in {graph.root.name!r}: {names or 'none'}. Name them with "
            "`skips=[…]`, by layer or tensor."
        )
    anatomy = _anatomy(graph, tensors)
    scope, tensors = _place(anatomy, tensors, ends)
    tensors = sorted(tensors, key=lambda x: x.scale)
    layer = _layer(graph, tensors, config)
    readers = [_readers(x, anatomy, tensors, scope) for x in tensors]

    def build(copies):
        edit = Edit(
            [x.aliases[scope][0] for x in tensors],
            readers,
            [x.aliases[scope] for x in tensors],
            layer(),
        )
        new = _rebuild_around(
            graph.root, scope, copies, edit, name or f"{graph.root.name}_dca"
        )
        copies.take_over_state()
        return new

    try:
        return build(Copies())
    except CannotCopy:
        # A model of a class with a config of its own may know how to make
        # layers that do not know it themselves.
        try:
            copies = Copies(model)
        except Exception:
            copies = None
        if copies is None:
            raise
        return build(copies)


def _rebuild_around(root, scope, copies, edit, name):
    """Rebuilds the model with the skips, and each model around it."""
    for depth in range(len(scope), 0, -1):
        outer = scope[depth - 1].operation
        new = rebuild(functional(outer), copies, outer.name, edit)
        new.trainable = outer.trainable
        copies.put(outer, new)
        edit = None
    return rebuild(root, copies, name, edit)


def _check(config, start):
    if config is not None and not isinstance(config, DCAConfig):
        raise ValueError(
            f"`config` must be a DCAConfig or None. Received: {config!r}."
        )
    config = config or DCAConfig()
    if start != "paper":
        config = dataclasses.replace(config, start=start)
    return config


def _chosen(graph, skips):
    """The graph's tensors that `skips` name."""
    if isinstance(skips, (str, keras.layers.Layer, keras.KerasTensor, Skip)):
        skips = [skips]
    by_identity = {
        id(x): tensor
        for tensor in graph.tensors
        for aliases in tensor.aliases.values()
        for x in aliases
    }
    tensors = []
    for skip in skips:
        if isinstance(skip, Skip):
            skip = skip.tensor
        if isinstance(skip, keras.KerasTensor):
            tensor = by_identity.get(id(skip))
        else:
            tensor = _by_layer(graph, skip, by_identity)
        if tensor is None or not tensor.stride:
            raise ValueError(
                "`skips` must be feature maps of the model: names of layers, "
                f"layers or tensors. Received: {skip!r}, which is "
                f"{'not in the model' if tensor is None else 'no such map'}."
            )
        tensors.append(tensor)
    return list(dict.fromkeys(tensors))


def _by_layer(graph, layer, by_identity):
    outputs = {
        tensor
        for call in graph.calls
        if layer in (call.operation, call.name, call.operation.name)
        for tensor in call.outputs
    }
    if not outputs:  # a model in the model
        outputs = {
            by_identity[id(x)]
            for node in ordered_nodes(graph.root)
            if layer in (node.operation, node.operation.name)
            for x in node.outputs
        }
    if len(outputs) > 1:
        raise ValueError(
            "A layer in `skips` must have one output. Received: "
            f"{layer!r}, which has {len(outputs)} in the model. Hand over the "
            "tensor that you mean."
        )
    return next(iter(outputs), None)


def _anatomy(graph, tensors):
    """By the first bottleneck that all the encoder's skips lead to."""
    places = bottlenecks(graph)
    if not places:
        raise ValueError(
            "The model must go down to a coarser resolution and up again. "
            f"Nothing in {graph.root.name!r} is upsampled and merged."
        )
    last, first = places[0], places[-1]
    for x in tensors:
        if last.descends_from(x) and not first.descends_from(x):
            return Anatomy(graph, last)
    return Anatomy(graph, first)


def _place(anatomy, tensors, ends):
    """The outermost model that can be cut open, and its tensors of the skips.

    Where a model does not give away the tensor that leaves its encoder, the
    one that ends the skip path serves.
    """
    scopes = {scope for x in tensors + ends for scope in x.aliases}
    failure = None
    for scope in sorted(scopes, key=len):
        chosen = []
        for pair in zip(tensors, ends, strict=True):
            for x in dict.fromkeys(pair):
                try:
                    _readers(x, anatomy, tensors, scope)
                except ValueError as error:
                    failure = error
                else:
                    chosen.append(x)
                    break
        if len(chosen) == len(tensors):
            return scope, chosen
    raise failure


def _readers(skip, anatomy, skips, scope):
    """The nodes of the model at `scope` that read `skip` after attention."""
    name = layer_name(skip)
    if scope not in skip.aliases:
        raise ValueError(
            "The skips must be tensors of one model. The output of layer "
            f"{name!r} is of {_model_name(skip)}, other skips are not. Have "
            "the models give away their skips as outputs."
        )
    wanted = anatomy.readers(skip, skips)
    if not wanted:
        raise ValueError(
            f"The output of layer {name!r} does not rejoin the decoder: "
            "nothing that it leads to meets what is upsampled from a coarser "
            "resolution. `find_skips(model)` shows what does."
        )
    reads = collections.defaultdict(set)
    for call in skip.consumers:
        inside = call.path[: len(scope)] == scope
        node = call.path[len(scope)] if inside else None
        reads[node].add(call in wanted)
    mixed = [node for node, kinds in reads.items() if len(kinds) > 1]
    if mixed or True in reads[None]:
        raise ValueError(
            f"The output of layer {name!r} is read on both the encoder's and "
            "the decoder's way by one model in the model. Call its layers in "
            "the model itself."
        )
    return {node for node, kinds in reads.items() if True in kinds}


def _model_name(tensor):
    scope = min(tensor.aliases, key=len)
    return repr(scope[-1].operation.name) if scope else "the outer model"


def _layer(graph, tensors, config):
    """A function that makes the attention layer."""
    shapes = [tuple(keras_tensor(x).shape) for x in tensors]
    options = dataclasses.asdict(config)
    patches = _patch_sizes(tensors, shapes, options.pop("patch_size"))
    for kind in ("channel", "spatial"):
        if options[f"{kind}_attention"]:
            _check_heads(shapes, f"{kind}_heads", options[f"{kind}_heads"])
    names = {call.operation.name for call in graph.calls}
    number = next(i for i in itertools.count(1) if _dca(i) not in names)
    layer = tensors[-1].producer.operation
    return functools.partial(
        DualCrossAttention,
        patches,
        name=_dca(number),
        dtype=getattr(layer, "dtype_policy", None),
        **options,
    )


def _dca(number):
    return "dca" if number == 1 else f"dca_{number}"


def _patch_sizes(tensors, shapes, patch_size):
    coarsest = tensors[-1]
    ratios = []
    for x in tensors:
        steps = {
            Fraction(side, other)
            for side, other in zip(_sides(x), _sides(coarsest), strict=True)
        }
        ratios.append(steps.pop() if len(steps) == 1 else Fraction(1, 2))
    if any(ratio.denominator > 1 for ratio in ratios):
        raise ValueError(
            "Every skip's sides must be one whole multiple of the coarsest "
            f"one's, on all axes. Received skips of shapes {shapes}. Build "
            "the model for sides that its poolings divide without remainder, "
            "without cropping, or leave out with `skips=[…]` what does not "
            "fit."
        )
    finest = int(max(ratios))
    unit = Fraction(patch_size or finest, finest)
    if unit.denominator > 1:
        raise ValueError(
            f"`config.patch_size` must be a multiple of {finest}, so that the "
            f"coarsest skip has whole patches. Received: {patch_size}."
        )
    return tuple(int(ratio * unit) for ratio in ratios)


def _check_heads(shapes, argument, heads):
    widths = [shape[-1] for shape in shapes]
    shared = math.gcd(*widths)
    if shared % heads:
        fit = max(n for n in range(1, heads) if shared % n == 0)
        raise ValueError(
            f"`{argument}` must divide the channels of every skip. Received: "
            f"{heads} for skips of {widths} channels. Use "
            f"`config=DCAConfig({argument}={fit})`."
        )


def _sides(tensor):
    return tensor.spec.shape[1:-1]
