"""`course site`: the notebooks and the docs as a web site that needs no server and no network; Sphinx makes the pages.

`staging.py` lays out what Sphinx reads, `conf.py` is Sphinx's configuration.
"""
