"""Names a module may import from ``slicer.logic`` in Slicer; none of them is needed here."""
