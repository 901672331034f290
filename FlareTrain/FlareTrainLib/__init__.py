"""Training for the FlareSegment engine: pseudo-labels, refinement, recipes, evaluation."""
