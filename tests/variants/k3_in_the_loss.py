# === right: a dict
def k3_in_the_loss():
    return {"divergence": "B", "reverse": 0.3666, "forward": 0.09965, "change": "B"}


# === right: three digits
def k3_in_the_loss():
    return {"divergence": "B", "reverse": 0.367, "forward": 0.0997, "change": "B"}


# === wrong: not written yet | not written yet
def k3_in_the_loss(): ...


# === wrong: a list of the answers | return a dict with the entries
def k3_in_the_loss():
    return ["B", 0.3666, 0.09965, "B"]


# === wrong: the last answer is left out | the answer to 'change' is missing
def k3_in_the_loss():
    return {"divergence": "B", "reverse": 0.3666, "forward": 0.09965}


# === wrong: a question mark | the answer to 'divergence' is
def k3_in_the_loss():
    return {"divergence": "?", "reverse": 0.3666, "forward": 0.09965, "change": "B"}


# === wrong: an unbiased estimate has the right gradient | hidden: numbers of this one
def k3_in_the_loss():
    return {"divergence": "A", "reverse": 0.3666, "forward": 0.09965, "change": "B"}


# === wrong: the two exchanged | hidden: averages over what the policy writes
def k3_in_the_loss():
    return {"divergence": "B", "reverse": 0.0997, "forward": 0.367, "change": "B"}
