"""The processing coordinator: durable workflows over Model, Inference and Postprocessing services."""
