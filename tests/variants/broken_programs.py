# === right: a dict
def broken_programs():
    return {"1": "Q", "2": "S", "3": "R", "4": "P", "5": "T", "6": "U"}


# === right: small letters
def broken_programs():
    return {"1": "q", "2": "s", "3": "R", "4": "P", "5": "T", "6": "U"}


# === wrong: not written yet | not written yet
def broken_programs(): ...


# === wrong: a list of the answers | return a dict with the entries
def broken_programs():
    return ["Q", "S", "R", "P", "T", "U"]


# === wrong: the last answer is left out | the answer to '6' is missing
def broken_programs():
    return {"1": "Q", "2": "S", "3": "R", "4": "P", "5": "T"}


# === wrong: a question mark | the answer to '1' is
def broken_programs():
    return {"1": "?", "2": "S", "3": "R", "4": "P", "5": "T", "6": "U"}


# === wrong: dropout and one object exchanged | hidden: policy and reference are one object
def broken_programs():
    return {"1": "S", "2": "Q", "3": "R", "4": "P", "5": "T", "6": "U"}


# === wrong: means and prompt exchanged | hidden: log-probs cancel
def broken_programs():
    return {"1": "Q", "2": "S", "3": "R", "4": "T", "5": "P", "6": "U"}
