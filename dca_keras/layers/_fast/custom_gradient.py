"""Functions whose gradient is written out, on every backend."""

from keras import ops


def custom_gradient(function):
    """Give a function the gradient that it returns.

    Args:
        function: Takes tensors, and returns one tensor and a function from
            that tensor's gradient to those of the arguments. It sees no
            tensors but its arguments.
    """

    @ops.custom_gradient
    def outer(*args):
        outputs, gradient = function(*args)

        def of_arguments(*args, upstream=None):
            # TensorFlow and JAX pass it by place, PyTorch by name.
            (upstream,) = args if upstream is None else (upstream,)
            return gradient(upstream)

        return outputs, of_arguments

    return outer


def zero_after(upstream):
    """Return an integer zero that is known once the upstream gradient is.

    What is recomputed in the backward pass starts from it. TensorFlow would
    otherwise compute it as soon as its other inputs are there, or share it
    with the forward pass, and keep it until it is used.
    """
    return 0 * ops.cast(ops.reshape(upstream, (-1,))[0] > 0, "int32")
