"""The embedded models and data, each with a card; `recipes` says how they were made."""
