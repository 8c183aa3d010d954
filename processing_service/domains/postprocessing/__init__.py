"""Named operations over images and tensors."""
