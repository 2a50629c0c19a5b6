"""The models: encoder and VLM, their labels and losses, tuning, gradients, activations, generation."""
