"""Engine of the FlareSegment extension: abdominal organ and tumor segmentation of CT volumes."""

__version__ = "0.1.0"
