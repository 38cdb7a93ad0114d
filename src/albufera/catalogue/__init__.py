"""F3: datasets: select, version, lifecycle, manifest, describe, search."""
