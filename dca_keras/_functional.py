"""A functional model's graph: what is called, and in which order."""

import keras


def functional(model):
    """Return the model whose graph says what `model` computes, or None."""
    if isinstance(model, keras.Sequential):
        model = getattr(model, "_functional", None)
    if not (
        isinstance(model, keras.Model) and isinstance(model, keras.Function)
    ):
        return None
    own = type(model).call
    return model if own.__qualname__ == "Functional.call" else None


def ordered_nodes(model):
    """Yield a functional model's calls, each after what it depends on."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield node
