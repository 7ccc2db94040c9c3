"""How the embedded models and data were made: one module a stage, run by `python -m helpers.assets.recipes`."""
