"""The annotated maths: tensors in, a scalar to minimise and its metrics out."""
