"""The embedded models and data, each with its card; `recipes` says how they were made."""
