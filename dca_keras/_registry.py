"""Names under which a user's own parts stand beside the package's."""


class Registry:
    """Parts by their names, in the order in which they were added.

    Args:
        kind: What the parts are, such as "model"; errors use the word.
    """

    def __init__(self, kind):
        self.kind = kind
        self._parts = {}

    def add(self, name, part):
        """Add a part under a name of its own.

        A cell of a notebook that is run again replaces the part it added
        before; any other second part of a name is refused.

        Args:
            name: A non-empty string.
            part: A function or class.

        Raises:
            ValueError: If `name` is no name, or is taken.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"The name of a {self.kind} must be a non-empty string. "
                f"Received: {name!r}."
            )
        old = self._parts.get(name)
        if old is not None and not _is_same_cell(old, part):
            raise ValueError(
                f"There is a {self.kind} {name!r} already, in "
                f"{old.__module__}. Choose another name."
            )
        self._parts[name] = part

    def names(self):
        """The names, a list of strings."""
        return list(self._parts)

    def get(self, name):
        """The part of a name.

        Raises:
            ValueError: If there is none; the error lists the names.
        """
        if name not in self._parts:
            raise ValueError(
                f"There is no {self.kind} {name!r}. "
                f"Available: {', '.join(self._parts)}."
            )
        return self._parts[name]


def _is_same_cell(old, new):
    """Whether both were defined as one name in a notebook or script."""
    places = {(part.__module__, part.__qualname__) for part in (old, new)}
    return len(places) == 1 and old.__module__ == "__main__"
