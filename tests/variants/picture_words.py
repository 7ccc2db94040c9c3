# === right: a dictionary
def picture_words():
    return {
        "A": "token embedding",
        "B": "position index",
        "C": "add",
        "D": "dropout",
        "E": "layer norm",
        "F": "attention",
        "G": "add",
        "H": "feed-forward",
        "I": "output layer",
        "J": "softmax",
    }


# === right: capital letters and blanks do not matter
def picture_words():
    words = dict(A=" Token  Embedding", B="Position Index", C="Add", D="Dropout", E="Layer Norm")
    words.update(F="Attention ", G="ADD", H="Feed-Forward", I="Output layer", J="Softmax")
    return words


# === right: made by zip
def picture_words():
    words = "token embedding,position index,add,dropout,layer norm,attention,add,feed-forward,output layer,softmax"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: not written yet | must return a dictionary
def picture_words(): ...


# === wrong: the template as it was | not in the word list
def picture_words():
    return {letter: "?" for letter in "ABCDEFGHIJ"}


# === wrong: embedding and positions swapped | blind
def picture_words():
    words = "token embedding,position index,add,dropout,layer norm,feed-forward,add,attention,output layer,softmax"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: inputs swapped | what the token is
def picture_words():
    words = "position index,token embedding,add,dropout,layer norm,attention,add,feed-forward,output layer,softmax"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: softmax before the output layer | one step later
def picture_words():
    words = "token embedding,position index,add,dropout,layer norm,attention,add,feed-forward,softmax,output layer"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: dropout and layer norm swapped | in evaluation as well
def picture_words():
    words = "token embedding,position index,add,layer norm,dropout,attention,add,feed-forward,output layer,softmax"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: pooling where vectors are added | merges the vectors of many positions
def picture_words():
    words = "token embedding,position index,pooling,dropout,layer norm,attention,add,feed-forward,output layer,softmax"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: the loss at the top | after J
def picture_words():
    words = "token embedding,position index,add,dropout,layer norm,attention,add,feed-forward,output layer,loss"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: a word of one's own | not in the word list
def picture_words():
    words = "token embedding,position index,add,dropout,layer norm,attention,add,perceptron,output layer,softmax"
    return dict(zip("ABCDEFGHIJ", words.split(",")))


# === wrong: a list without letters | dictionary
def picture_words():
    return (
        "token embedding,position index,add,dropout,layer norm,attention,add,feed-forward,output layer,softmax".split(
            ","
        )
    )


# === wrong: blanks left out | still blank
def picture_words():
    return {"A": "token embedding", "B": "position index", "C": "add"}


# === wrong: attention everywhere | not attention
def picture_words():
    return {letter: "attention" for letter in "ABCDEFGHIJ"}
