"""Which image sizes a model takes."""

import weakref

import keras

LARGEST = 512
ODD_PARTS = (1, 3, 5, 7, 9)
# A factor of no candidate: `n * PRIME` is a multiple of the candidate n and
# of its divisors, but of no other candidate.
PRIME = 11
_multiples = weakref.WeakKeyDictionary()


def side_multiple(model: keras.Model) -> int:
    """Return what the sides of a model's images must be multiples of.

    The number comes from strides, poolings and the patches of DCA. It is
    found by tracing the model for several sizes, which computes nothing, and
    kept as long as the model. For a model built for one size, it is the
    number that holds for the same layers at other sizes; if only some sides
    are open, the others keep theirs.

    Args:
        model: A Keras model from images to maps of classes; or another that
            has the number as its attribute `side_multiple`.

    Returns:
        An integer; 1 if the model takes every size.

    Raises:
        ValueError: If the model gives maps of its input's size for no
            multiple up to 512.
    """
    if known := getattr(model, "side_multiple", None):
        return known
    if model not in _multiples:
        candidates = (
            odd * 2**power
            for odd in ODD_PARTS
            for power in range(LARGEST.bit_length())
            if odd * 2**power <= LARGEST
        )
        fits = (n for n in candidates if _keeps_size(model, n * PRIME))
        _multiples[model] = next(fits, None)
    if _multiples[model] is None:
        raise no_maps(model)
    return _multiples[model]


def no_maps(model):
    """Return the error for a model whose maps have another size."""
    return ValueError(
        "`model` must give one map of its input's size. Received: "
        f"{model.name}, from {model.input_shape} to {model.output_shape}"
    )


def _keeps_size(model, side):
    *own, channels = model.input_shape[1:]
    if None in own:
        shape = (1, *(fixed or side for fixed in own), channels)
    else:
        shape = (1, *(side for _ in own), channels)
    try:
        if None in own:
            # Quick, but what it lets pass may still be wrong.
            quick = model.compute_output_spec(keras.KerasTensor(shape)).shape
            if quick[:-1] != shape[:-1]:
                return False
            run = model
        else:
            run = model.call  # It doesn't insist on the model's own size.
        # Keras finds a Lambda's output shape by tracing it.
        traced = keras.layers.Lambda(lambda images: run(images))
        return traced.compute_output_shape(shape)[:-1] == shape[:-1]
    except Exception:  # Backends raise anything on shapes that don't fit.
        return False
