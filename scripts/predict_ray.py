"""Predicts any number of images on any number of machines, with Ray Data.

    python scripts/predict_ray.py runs/NAME scans found --workers 2

A worker is a process that loads the model once and takes batches of images
in turns. On a cluster (`--address auto`) workers are on all of its machines;
RUN, the images and OUTPUT must lie where all see them. What is done is not
done again: the same command resumes.

It is Ray Data (`pip install "dca-keras[ray]"`) and not Apache Beam's
RunInference, because Ray installs beside what this package needs (Beam 2.77
holds Pillow below 13), keeps a model in a process over many batches without
further code, and runs here with the scheduler and the processes of a
cluster: two workers are two processes.
"""

import argparse
import collections
import os
from pathlib import Path

import ray

from dca_keras import Run
from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.export import ENGINES, engine
from dca_keras.prediction import predict_files


class Predictor:
    """A worker: one model, and the images of one batch after another."""

    def __init__(self, run, folder, output, engine_name, options):
        self.run, self.folder, self.output = run, folder, output
        self.options = options
        self.engine = engine(engine_name)
        if self.engine is not None:
            model = self.engine(Run.open(run))
            self.engine = lambda run: model

    def __call__(self, batch):
        places = collections.defaultdict(list)
        for name in batch["name"]:
            places[Path(name).parent].append(self.folder / name)
        counts = collections.Counter()
        messages = []
        for place, files in places.items():
            found = predict_files(
                self.run,
                files,
                self.output / place,
                engine=self.engine,
                **self.options,
            )
            counts["written"] += len(found.written)
            counts["done"] += len(found.done)
            messages += found.broken
        return {
            "worker": [os.getpid()],
            "written": [counts["written"]],
            "done": [counts["done"]],
            "broken": ["\n".join(messages)],
        }


def predict(run, folder, output, workers, engine_name, batch, **options):
    """Predicts the images below a folder; returns one row a batch."""
    run, folder, output = (Path(p).resolve() for p in (run, folder, output))
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and split_name(path)[1] in EXTENSIONS
    )
    if (choice := engine(engine_name)) is not None:
        choice(Run.open(run))  # Exported here, once, and not by every worker.
    images = ray.data.from_items([{"name": name} for name in names])
    return images.map_batches(
        Predictor,
        fn_constructor_args=(run, folder, output, engine_name, options),
        batch_size=batch,
        concurrency=workers,
    ).take_all()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("output")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", default="openvino", choices=ENGINES)
    parser.add_argument("--batch", type=int, default=64, help="images a turn")
    parser.add_argument("--windows", action="store_true")
    parser.add_argument("--address", help="of a cluster; this machine if not")
    given = parser.parse_args()
    ray.init(given.address, log_to_driver=False)
    options = {"window": True} if given.windows else {}
    rows = predict(
        given.run,
        given.folder,
        given.output,
        given.workers,
        given.engine,
        given.batch,
        **options,
    )
    workers = len({row["worker"] for row in rows})
    written, done = (sum(row[k] for row in rows) for k in ("written", "done"))
    print(f"{written} written, {done} existed already, by {workers} workers")
    if broken := "\n".join(filter(None, (row["broken"] for row in rows))):
        raise SystemExit(broken)


if __name__ == "__main__":
    main()
