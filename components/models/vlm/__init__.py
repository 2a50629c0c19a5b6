"""Vision-language models: loading, the label mask, batches, losses and generation."""
