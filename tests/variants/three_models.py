# === right: a dict
def three_models():
    return {"a": "C", "b": "D", "c": "A"}


# === right: small letters
def three_models():
    return {"a": "c", "b": "d", "c": "a "}


# === wrong: not written yet | not written yet
def three_models(): ...


# === wrong: a list of the answers | return a dict with the entries
def three_models():
    return ["C", "D", "A"]


# === wrong: the last answer is left out | the answer to 'c' is missing
def three_models():
    return {"a": "C", "b": "D"}


# === wrong: a question mark | the answer to 'a' is
def three_models():
    return {"a": "?", "b": "D", "c": "A"}


# === wrong: positions bring the words in | hidden: without attention nothing passes
def three_models():
    return {"a": "B", "b": "D", "c": "A"}


# === wrong: order does not matter at all, and words neither | hidden: depend on the order
def three_models():
    return {"a": "C", "b": "D", "c": "C"}
