"""PreSel (CVPR 2025, arXiv 2503.07591): task importance from a few instructions, then central images."""
