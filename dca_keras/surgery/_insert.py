"""`insert_dca`."""

import dataclasses
from collections.abc import Sequence

import keras

from dca_keras._functional import functional
from dca_keras.config import DCAConfig
from dca_keras.surgery._attention import fit_heads, make_attention
from dca_keras.surgery._choose import (
    anatomy_of,
    chosen_tensors,
    place,
    readers_at,
)
from dca_keras.surgery._find import Skip, find, layer_name
from dca_keras.surgery._graph import Graph
from dca_keras.surgery._rebuild import CannotCopy, Copies, Edit, rebuild


def insert_dca(
    model: keras.Model,
    skips: Sequence[str | keras.Layer | keras.KerasTensor | Skip] | None = None,
    config: DCAConfig | None = None,
    start: str = "paper",
    name: str | None = None,
) -> keras.Model:
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
        config: A `DCAConfig`; `None` is the paper's, with fewer than four
            spatial heads where four do not divide the skips' channels. Its
            `patch_size` is in pixels of the finest skip; `None` is the
            smallest possible, one pixel of the coarsest skip. Skips of one
            resolution have the same patch size. Where the model pools its
            axes differently, a patch has a side for each axis, and
            `patch_size` is the longest of the finest skip's.
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
    wanted = _check(config, start)
    graph = Graph(model)
    if skips is None:
        _, pairs = find(graph)
        tensors = [skip for skip, _ in pairs]
        ends = [end for _, end in pairs]
    else:
        tensors = ends = chosen_tensors(graph, skips)
    if len(tensors) < 2:
        names = [layer_name(x) for x in tensors]
        raise ValueError(
            "Dual Cross-Attention attends across at least two skips. Found "
            f"in {graph.root.name!r}: {names or 'none'}. Name them with "
            "`skips=[…]`, by layer or tensor."
        )
    anatomy = anatomy_of(graph, tensors)
    scope, tensors = place(anatomy, tensors, ends)
    tensors = sorted(tensors, key=lambda x: x.scale)
    if config is None:
        wanted = fit_heads(wanted, tensors)
    attention = make_attention(graph, tensors, wanted)

    def build(copies):
        edit = Edit(
            [x.aliases[scope][0] for x in tensors],
            [readers_at(scope, x, anatomy, tensors) for x in tensors],
            [x.aliases[scope] for x in tensors],
            attention(),
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
    """Rebuild the model with the skips, and each model around it."""
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
