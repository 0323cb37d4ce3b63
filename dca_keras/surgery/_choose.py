"""Which tensors get the attention, in which model of the model."""

import collections

import keras

from dca_keras._functional import ordered_nodes
from dca_keras.surgery._find import Skip, layer_name
from dca_keras.surgery._skips import Anatomy, bottlenecks


def chosen_tensors(graph, skips):
    """Return the graph's tensors that `skips` name."""
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


def anatomy_of(graph, tensors):
    """Return the anatomy by the first bottleneck that all skips lead to."""
    places = bottlenecks(graph)
    if not places:
        raise ValueError(
            "The model must go down to a coarser resolution and up again. "
            f"Nothing in {graph.root.name!r} is upsampled and merged."
        )
    last, first = places[0], places[-1]
    beyond = any(
        last.descends_from(x) and not first.descends_from(x) for x in tensors
    )
    anatomy = Anatomy(graph, last if beyond else first)
    for x in tensors:
        if not anatomy.readers(x, [x]):
            raise ValueError(
                f"The output of layer {layer_name(x)!r} does not rejoin the "
                "decoder: nothing that it leads to meets what is upsampled "
                "from a coarser resolution. `find_skips(model)` shows what "
                "does."
            )
    return anatomy


def place(anatomy, tensors, ends):
    """Return the outermost model that can be cut, and its tensors to cut at.

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
                    readers_at(scope, x, anatomy, tensors)
                except ValueError as error:
                    failure = failure or error
                else:
                    chosen.append(x)
                    break
        if len(chosen) == len(tensors):
            return scope, chosen
    raise failure


def readers_at(scope, skip, anatomy, skips):
    """Return the nodes of one model that read `skip` after attention."""
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
            f"Other skips are computed from the output of layer {name!r} only "
            "after it has rejoined the decoder. Hand over skips of one "
            "encoder, and call `insert_dca` once more for those of another."
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
