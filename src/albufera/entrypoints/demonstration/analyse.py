"""The demonstration's job: measures every series of the dataset it is given.

Runs inside the sandbox with nothing of Albufera; it reads the view as a researcher's script does.
"""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

AIR, LUNG_TOP = -950, -400


def main() -> None:
    """Write results.csv (a row a series) and histogram.png (all voxels together)."""
    root = Path(os.environ["ALBUFERA_DATASETS"])
    outputs = Path(os.environ["ALBUFERA_OUTPUTS"])
    rows, counts = [], np.zeros(128, dtype=np.int64)
    for dataset in sorted(path for path in root.iterdir() if path.is_dir()):
        for study in json.loads((dataset / "index.json").read_text()):
            for series in study["series"]:
                folder = dataset / study["path"].strip("/") / series["folderName"]
                row, histogram = measure(folder)
                rows.append({"subject": study["subjectName"], "series": folder.name, **row})
                counts += histogram
                print(f"{study['subjectName']} {folder.name}: {row['images']} images", flush=True)
    with (outputs / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draw(counts, outputs / "histogram.png")
    print(f"Measured {len(rows)} series.")


def measure(folder: Path) -> tuple[dict[str, float], np.ndarray]:
    """Return what is measured of one series, and the histogram of its values."""
    volume = []
    for path in sorted(folder.glob("*.dcm")):
        image = pydicom.dcmread(path)
        slope, intercept = image.get("RescaleSlope", 1), image.get("RescaleIntercept", 0)
        volume.append(image.pixel_array * float(slope) + float(intercept))
    values = np.concatenate([plane.ravel() for plane in volume])
    lung = np.count_nonzero((values > AIR) & (values < LUNG_TOP)) / values.size
    histogram, _ = np.histogram(values, bins=128, range=(-1100, 1400))
    row = {
        "images": len(volume),
        "mean": round(float(values.mean()), 1),
        "deviation": round(float(values.std()), 1),
        "lung_share": round(lung, 3),
    }
    return row, histogram


def draw(counts: np.ndarray, path: Path) -> None:
    """Draw a histogram on a logarithmic scale."""
    heights = np.log1p(counts) / max(np.log1p(counts).max(), 1e-9) * 150
    picture = np.full((160, 512), 255, dtype=np.uint8)
    for position, height in enumerate(heights):
        picture[160 - int(height) :, position * 4 : position * 4 + 3] = 60
    Image.fromarray(picture).save(path)


if __name__ == "__main__":
    main()
