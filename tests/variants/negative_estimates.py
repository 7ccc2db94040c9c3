# === right: a dict
def negative_estimates():
    return {"a": "fault", "b": "chance", "c": "chance", "d": "B", "e": "C"}


# === right: capitals
def negative_estimates():
    return {"a": "Fault", "b": "Chance", "c": "chance", "d": "B", "e": "C"}


# === wrong: not written yet | not written yet
def negative_estimates(): ...


# === wrong: a list of the answers | return a dict with the entries
def negative_estimates():
    return ["fault", "chance", "chance", "B", "C"]


# === wrong: the last answer is left out | the answer to 'e' is missing
def negative_estimates():
    return {"a": "fault", "b": "chance", "c": "chance", "d": "B"}


# === wrong: a question mark | the answer to 'a' is
def negative_estimates():
    return {"a": "?", "b": "chance", "c": "chance", "d": "B", "e": "C"}


# === wrong: any value below 0 is a fault | hidden: eight standard errors
def negative_estimates():
    return {"a": "fault", "b": "fault", "c": "chance", "d": "B", "e": "C"}


# === wrong: the mean over the reference is a KL | hidden: the reference writes is
def negative_estimates():
    return {"a": "fault", "b": "chance", "c": "chance", "d": "B", "e": "B"}
