"""The one trainer: LoRA on a vision-language model, for the reference model and the final model."""
