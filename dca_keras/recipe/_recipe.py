"""What a training run is made of, as one value."""

import dataclasses
import typing
from pathlib import Path

from dca_keras._fields import docstring
from dca_keras.config import ATTENTION, DCAConfig
from dca_keras.recipe._earlier import complete
from dca_keras.recipe._hyperparameters import Hyperparameters

if typing.TYPE_CHECKING:
    import keras

    from dca_keras.data import Splits

# By whether there is channel attention and whether there is spatial.
VARIANTS = {
    (True, True): "dca",
    (True, False): "dca_channel",
    (False, True): "dca_spatial",
    (False, False): "dca_control",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Hyperparameters):
    """Everything that decides what a training run does.

    Raises:
        ValueError: If a value is not what the rule of its field says.
    """

    @property
    def variant(self) -> str:
        """How skips are refined, in a word.

        "plain", "dca", or what is left of DCA: "dca_channel", "dca_spatial",
        and "dca_control" with neither attention; with "_identity" at the end
        if it starts as the identity.
        """
        if not self.dca:
            return "plain"
        start = "" if self.start == "paper" else f"_{self.start}"
        return VARIANTS[self.channel_attention, self.spatial_attention] + start

    def to_dict(self) -> dict:
        """Return the recipe as a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """Return the recipe that `to_dict` wrote, or JSON made of it.

        Recipes of earlier versions can be read.

        Raises:
            ValueError: If a name is missing or unknown, or a value is wrong.
        """
        fields = cls.__dataclass_fields__
        values = complete(values)
        if unknown := sorted(values.keys() - fields.keys()):
            raise ValueError(
                f"A recipe has no {', '.join(map(repr, unknown))}. "
                f"Names: {', '.join(fields)}"
            )
        required = {
            name
            for name, own in fields.items()
            if own.default is dataclasses.MISSING
        }
        if missing := sorted(required - values.keys()):
            raise ValueError(f"The recipe lacks {', '.join(missing)}.")
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
            }
        )

    def build_model(self) -> "keras.Model":
        """Build the recipe's model, untrained.

        Raises:
            ValueError: If the architecture can't be built so, for instance
                because its poolings don't divide `image_size`.
        """
        from dca_keras.zoo import create_model

        return create_model(
            self.model,
            input_shape=(*self.image_size, self.channels),
            num_classes=self.num_classes,
            dca=self._attention() if self.dca else False,
            dtype=self.dtype,
            **self._own_arguments(),
        )

    def _attention(self):
        return DCAConfig(**{name: getattr(self, name) for name in ATTENTION})

    def _own_arguments(self):
        """Return what is given of the arguments that not all builders take."""
        from dca_keras.zoo import takes_argument

        given = {}
        for name in ("filters", "backbone", "backbone_weights"):
            value = getattr(self, name)
            if value is None:
                continue
            if not takes_argument(self.model, name):
                raise ValueError(
                    f"`{name}` must be left out for {self.model}, which has no "
                    f"such argument. Received: {value!r}"
                )
            given[name] = value
        return given

    def read_dataset(
        self,
        data_dir: str | Path | None = None,
        classes: str | Path | None = None,
    ) -> "Splits":
        """Read the recipe's data set as `dca_keras.data.Splits`.

        Args:
            data_dir: The folder it is in now; `None` for the recipe's.
            classes: The file of its classes; `None` for the recipe's.

        Raises:
            ValueError: If it can't be read.
        """
        from dca_keras.data import read_dataset, reader_takes

        # Not every data set knows what its owners distribute.
        own = {"partial": True} if self.partial else {}
        for name in ("images", "masks", "modality"):
            if getattr(self, name) is not None:
                own[name] = getattr(self, name)
        # Nor do all hold slices as well as volumes.
        if len(self.image_size) == 3 and reader_takes(self.data, "volumes"):
            own["volumes"] = True
        return read_dataset(
            self.data,
            data_dir or self.data_dir,
            channels=self.channels,
            num_classes=self.num_classes,
            classes=classes or self.classes,
            case_pattern=self.case_pattern,
            fold=self.fold,
            seed=self.seed,
            protocol=self.protocol,
            **own,
        )

    def cache_of(self, split: str) -> str:
        """Return what `make_dataset` takes as `cache` for a split."""
        named = {"memory": True, "none": False}
        return named.get(self.cache, Path(self.cache) / split)

    def run_name(self) -> str:
        """Return a name for a folder, such as `unet-dca-synthetic-seed0`."""
        attention = f"-{self.variant}" if self.dca else ""
        fold = f"-fold{self.fold.replace('/', 'of')}" if self.fold else ""
        return f"{self.model}{attention}-{self.data}{fold}-seed{self.seed}"

    def command(self) -> str:
        """Return the command line that trains this recipe again.

        Options that `recipes.toml` implies are left out, and the cache, which
        changes no result. Of `data_dir` only the last folder is named, so
        that a published command says nothing about somebody's disk.
        """
        from dca_keras.recipe._command import write_command

        return write_command(self)


# Written here, so that `help` shows what the fields say.
Recipe.__doc__ += docstring(Recipe)
