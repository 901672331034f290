# Slicer configures CPack here. `cmake --install` is enough to look at what would be packed.
