"""Memory that the prediction of a large volume needs, as the system counts it.

    python scripts/benchmarks/volume_memory.py --depth 400 --classes 9

writes a CT of 512x512xDEPTH voxels and a run with a small 3-D U-Net with DCA
of random weights, predicts the one with the other in a process of its own,
and prints that process's peak and time: all of it, TensorFlow included.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

SPACING = (1.0, 0.8, 0.8)  # of the CT: depth, height, width
PREDICT = """
import json, re, sys, time
from dca_keras.prediction import predict_files
run, scan, output, overlap = sys.argv[1:]
start = time.time()
done = predict_files(run, [scan], output, overlap=int(overlap))
with open("/proc/self/status") as file:
    peak = 1024 * int(re.search(r"VmHWM:\\s*([0-9]+)", file.read())[1])
print(json.dumps({"broken": done.broken, "plans": dict(done.plans),
                  "gib": peak / 2**30, "seconds": time.time() - start}))
"""


def write_scan(path, shape, dtype):
    """Write a CT of smooth values and noise."""
    import nibabel
    import numpy as np

    rng = np.random.default_rng(0)
    slices = rng.normal(0, 20, (shape[1], shape[2])) + 40
    values = np.empty(shape[::-1], dtype)
    for index in range(shape[0]):
        values[..., index] = (np.roll(slices, index, 0) + index).T
    nibabel.save(
        nibabel.Nifti1Image(values, np.diag([*SPACING[::-1], 1])), path
    )


def write_run(folder, args):
    """Write what training would leave, with random weights."""
    from dca_keras._files import write_json
    from dca_keras.recipe import make_recipe

    recipe = make_recipe(
        data="nnunet",
        model="unet",
        image_size=args.window,
        sampling="crop",
        channels=1,
        num_classes=args.classes,
        filters=(8, 16, 32, 64),
        patch_size=4,
        dca=True,
    )
    folder.mkdir()
    recipe.build_model().save(folder / "model.keras")
    samples = {"train": [], "val": [], "test": []}
    write_json(
        folder / "recipe.json",
        {"recipe": recipe.to_dict(), "samples": samples},
    )
    preprocessing = {
        "spacing": args.spacing and list(args.spacing),
        "intensities": [[-100, 300]],
    }
    write_json(
        folder / "fingerprint.json",
        {"fingerprint": {}, "preprocessing": preprocessing},
    )


def measure(args):
    """Return peak memory in GiB, seconds and the plan."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        scan = folder / "in" / "ct_0000.nii.gz"
        scan.parent.mkdir()
        write_scan(scan, (args.depth, args.side, args.side), args.dtype)
        write_run(folder / "run", args)
        words = [folder / "run", scan, folder / "out", args.overlap]
        done = subprocess.run(
            [sys.executable, "-c", PREDICT, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=400)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--classes", type=int, default=9)
    parser.add_argument("--dtype", default="int16")
    parser.add_argument("--overlap", type=int, default=8)
    parser.add_argument(
        "--window", type=int, nargs=3, default=(64, 64, 64), metavar="SIDE"
    )
    parser.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        help=f"That the run works at; the CT's is {SPACING}.",
    )
    args = parser.parse_args()
    start = time.time()
    found = measure(args)
    print(
        f"{args.side}x{args.side}x{args.depth}, {args.dtype}, {args.classes} "
        f"classes: {found['gib']:.2f} GiB at most, {found['seconds']:.0f} s "
        f"({time.time() - start:.0f} s with writing the scan); "
        f"{found['plans'] or found['broken']}"
    )


if __name__ == "__main__":
    main()
