"""The sections of FlareSegment's panel: each has its widgets and tells the panel by callbacks."""
