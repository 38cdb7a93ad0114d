"""Pictures of frames: a DICOM file in, a PNG out.

``render`` draws where it is called; a server asks a ``PictureStudio``, which draws in processes
of its own so that a hostile file can neither block nor kill the process that serves.
"""

from albufera.lake.pictures.drawing import frame_count, render, thumbnail
from albufera.lake.pictures.grey import Window
from albufera.lake.pictures.studio import PictureStudio
from albufera.lake.pictures.undrawable import StudioBusy, Undrawable

__all__ = [
    "PictureStudio",
    "StudioBusy",
    "Undrawable",
    "Window",
    "frame_count",
    "render",
    "thumbnail",
]
