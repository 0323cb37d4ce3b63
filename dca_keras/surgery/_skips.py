"""Which tensors of a graph are skips, and who reads them after attention.

The bottleneck is the last of the coarsest tensors from which the model goes
up again. What it is computed from is the encoder; what is computed from it,
the decoder. A rejoining call is one of the decoder's that also reads something
else: there a skip path ends. The skip is the encoder's tensor at which that
path began.
"""

import functools
import operator


class Anatomy:
    """Encoder, decoder and skip paths of a graph.

    Args:
        graph: A `Graph`.
        bottleneck: One of its tensors.
    """

    def __init__(self, graph, bottleneck):
        self.bottleneck = bottleneck
        self.rejoining = {}  # call -> what it reads of skip paths
        for call in graph.calls:
            if not call.outputs[0].descends_from(bottleneck):
                continue
            ends = [x for x in call.inputs if not x.descends_from(bottleneck)]
            if ends and len(ends) < len(call.inputs):
                self.rejoining[call] = ends
        self._on_paths = _union(
            x.ancestors for ends in self.rejoining.values() for x in ends
        )

    def in_encoder(self, tensor):
        return self.bottleneck.descends_from(tensor)

    def candidates(self):
        """Yield `(skip, end of its path)` for what rejoins at its own scale."""
        for call, ends in self.rejoining.items():
            stride, scale = call.outputs[0].stride, call.outputs[0].scale
            if not 0 < scale < self.bottleneck.scale:
                continue
            for end in ends:
                if end.stride == stride:
                    skip = self._beginning(end)
                    if not skip.is_image:
                        yield skip, end

    def _beginning(self, end):
        """Return where the skip path that ends here leaves the encoder.

        The end itself, if that is at another scale, is the image, or if
        several of the encoder's tensors meet on the path.
        """
        seen, leaving, queue = {end}, [], [end]
        while queue:
            tensor = queue.pop()
            if self.in_encoder(tensor):
                leaving.append(tensor)
                continue
            for x in tensor.producer.inputs if tensor.producer else ():
                if x not in seen:
                    seen.add(x)
                    queue.append(x)
        level = [
            x for x in leaving if x.stride == end.stride and not x.is_image
        ]
        return level[0] if len(level) == 1 else end

    def readers(self, skip, skips):
        """Return the calls that read `skip` on its way to where it rejoins.

        Not the encoder's own, nor what other skips are computed from.
        """
        before = _union(x.ancestors for x in skips)
        encoder = self.bottleneck.ancestors | before
        readers = []
        for call in skip.consumers:
            bits = _union(1 << x.index for x in call.outputs)
            rejoins = call in self.rejoining or bits & self._on_paths
            if rejoins and not bits & encoder:
                readers.append(call)
        return readers

    def joins(self, readers):
        """Return the calls at which what `readers` make of a skip rejoins."""
        joins, queue = dict.fromkeys(readers), list(readers)
        for call in queue:
            if call not in self.rejoining:
                after = [y for x in call.outputs for y in x.consumers]
                queue += [y for y in after if y not in joins]
                joins.update(dict.fromkeys(after))
        return [call for call in joins if call in self.rejoining]


def _union(masks):
    return functools.reduce(operator.or_, masks, 0)


def bottlenecks(graph):
    """Return the bottleneck of the last network in the graph, and the first's.

    A tensor is coarsest if calls at finer scales merge what comes from it
    with something else, and there is none coarser. That ignores what never
    comes up again, such as a classifier's head.
    """
    merging = [
        call
        for call in graph.calls
        if call.outputs[0].stride and len(call.inputs) > 1
    ]
    coarsest, scale = [], 0
    for tensor in graph.tensors:
        if (
            tensor.scale
            and tensor.scale >= scale
            and any(
                call.outputs[0].descends_from(tensor)
                and call.outputs[0].scale < tensor.scale
                for call in merging
            )
        ):
            if tensor.scale > scale:
                coarsest, scale = [], tensor.scale
            coarsest.append(tensor)
    if not coarsest:
        return []
    before = _union(x.ancestors for x in coarsest)
    finer = [x.outputs[0] for x in merging if x.outputs[0].scale < scale]
    last = [x for x in finer if not before >> x.index & 1]
    found = []
    for outputs, share in ((last, 0.5), (finer, 1)):
        counts = {x: sum(y.descends_from(x) for y in outputs) for x in coarsest}
        most = max(counts.values())
        tensors = [x for x in coarsest if most and counts[x] >= share * most]
        if tensors:
            found.append(_where_it_goes_up(tensors))
    return found


def _where_it_goes_up(tensors):
    """Return the deepest, or one before it that is already upsampled.

    An attention gate that the bottleneck opens is computed at the
    bottleneck's own scale, and is deeper than the bottleneck.
    """
    deepest = max(tensors, key=lambda x: (x.depth, x.index))
    level, queue = {deepest}, [deepest]
    while queue:
        for x in queue.pop().producer.inputs:
            if x not in level and x.producer and x.scale in (0, deepest.scale):
                level.add(x)
                queue.append(x)
    for tensor in sorted(tensors, key=lambda x: x.depth):
        if tensor in level and any(
            0 < y.scale < tensor.scale
            for call in tensor.consumers
            for y in call.outputs
        ):
            return tensor
    return deepest
