"""How annotations are enforced while the tests run: by beartype, an `int` being good enough for a `float` (PEP 484)."""

from beartype import BeartypeConf, beartype

enforce = beartype(conf=BeartypeConf(is_pep484_tower=True))
