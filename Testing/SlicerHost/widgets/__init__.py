"""CTK and MRML widgets a segmentation module uses, as PySide6 widgets of our own."""
