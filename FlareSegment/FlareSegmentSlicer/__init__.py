"""FlareSegment's side of Slicer: nodes, widgets, processes; one subject per file.

Imported by the module file, never by FlareSegmentLib, which has to run where there is no Slicer.
Nothing here imports torch. Part `shared` serves the module FlareTrain too.
"""
