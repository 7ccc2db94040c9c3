# === right: a dict
def resetting():
    return {"a": "P", "b": "Q", "c": "R", "d": "S"}


# === right: small letters
def resetting():
    return {"a": "p", "b": "q", "c": "R", "d": "S"}


# === wrong: not written yet | not written yet
def resetting(): ...


# === wrong: a list of the answers | return a dict with the entries
def resetting():
    return ["P", "Q", "R", "S"]


# === wrong: the last answer is left out | the answer to 'd' is missing
def resetting():
    return {"a": "P", "b": "Q", "c": "R"}


# === wrong: a question mark | the answer to 'a' is
def resetting():
    return {"a": "?", "b": "Q", "c": "R", "d": "S"}


# === wrong: model and optimizer exchanged | hidden: fresh weights
def resetting():
    return {"a": "P", "b": "R", "c": "Q", "d": "S"}


# === wrong: both and neither exchanged | hidden: starts as the first did
def resetting():
    return {"a": "S", "b": "Q", "c": "R", "d": "P"}
