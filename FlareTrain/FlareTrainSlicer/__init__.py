"""Slicer's side of FlareTrain: nodes, widgets and tables. What computes is in FlareTrainLib."""
