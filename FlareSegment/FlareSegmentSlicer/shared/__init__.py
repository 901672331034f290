"""What the module files FlareSegment and FlareTrain both need of Slicer.

Everything here stays free of either module: FlareTrain imports it, it imports neither.
"""
