"""Images to vectors: decode, encode with DINOv2, keep in LanceDB."""
