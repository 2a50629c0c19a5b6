"""PreSel (CVPR 2025, arXiv 2503.07591): task importance from a small reference set, then representative images."""
