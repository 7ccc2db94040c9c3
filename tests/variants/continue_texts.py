# === right: as the solution
def continue_texts(next_logits, ids, new_tokens, eos_id, choose):
    texts = ids.clone()
    stop = ids.shape[1] + new_tokens
    done = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
    while texts.shape[1] < stop:
        scores = next_logits(texts)
        token = choose(scores)
        token = torch.where(done, torch.full_like(token, eos_id), token)
        done = done | (token == eos_id)
        texts = torch.cat([texts, token[:, None]], dim=1)
    return texts


# === right: a tensor of the full size
def continue_texts(next_logits, ids, new_tokens, eos_id, choose):
    B, P = ids.shape
    out = torch.full((B, P + new_tokens), eos_id, dtype=ids.dtype, device=ids.device)
    out[:, :P] = ids
    alive = torch.ones(B, dtype=torch.bool, device=ids.device)
    for t in range(P, P + new_tokens):
        token = choose(next_logits(out[:, :t]))
        out[alive, t] = token[alive]
        alive &= token != eos_id
    return out


# === right: looks back for an eos
def continue_texts(next_logits, ids, new_tokens, eos_id, choose):
    start = ids.shape[1]
    result = ids + 0
    for _ in range(new_tokens):
        token = choose(next_logits(result)).clone()
        ended = (result[:, start:] == eos_id).any(dim=1)
        token[ended] = eos_id
        result = torch.hstack([result, token.unsqueeze(1)])
    return result


# === right: a list of columns
def continue_texts(next_logits, ids, new_tokens, eos_id, choose):
    columns = list(ids.clone().unbind(1))
    over = torch.zeros_like(columns[0], dtype=torch.bool)
    while len(columns) < ids.shape[1] + new_tokens:
        chosen = choose(next_logits(torch.stack(columns, dim=1)))
        columns.append(chosen.masked_fill(over, eos_id))
        over = over.logical_or(columns[-1].eq(eos_id))
    return torch.stack(columns, dim=1)


# === wrong: finished rows go on | a finished row goes on
# for: token = torch.where
pass


# === wrong: the new tokens alone | the prompt comes first
def continue_texts(next_logits, ids, new_tokens, eos_id, choose):
    texts = ids.clone()
    done = torch.zeros(ids.shape[0], dtype=torch.bool)
    for _ in range(new_tokens):
        token = choose(next_logits(texts)).masked_fill(done, eos_id)
        done = done | (token == eos_id)
        texts = torch.cat([texts, token[:, None]], dim=1)
    return texts[:, ids.shape[1] :]


# === wrong: the last column alone is fed | the last column only
# for: scores =
scores = next_logits(texts[:, -1:])


# === wrong: the prompt alone is fed | the prompt only
# for: scores =
scores = next_logits(ids)


# === wrong: filled one token too late | one token too late
# for: done = done
late, done = done, done | (token == eos_id)
# for: token = torch.where
token = torch.where(late if texts.shape[1] > ids.shape[1] else done, torch.full_like(token, eos_id), token)


# === wrong: filled with 0 | fill it with eos_id
# for: token = torch.where
token = token.masked_fill(done, 0)


# === wrong: all rows end with the first | the others go on
# for: done = done
done = done | bool((token == eos_id).any())


# === wrong: the loop ends with the first finished row | must run new_tokens times
# for: done = done
done = done | (token == eos_id)
stop = texts.shape[1] + 1 if done.any() else stop


# === wrong: the loop ends when all rows are finished | must run new_tokens times
# for: done = done
done = done | (token == eos_id)
stop = texts.shape[1] + 1 if done.all() else stop


# === wrong: an eos in the prompt finishes | it finishes nothing
# for: done = torch.zeros
done = (ids == eos_id).any(dim=1)


# === wrong: an eos at the end of the prompt finishes | it finishes nothing
# for: done = torch.zeros
done = ids[:, -1] == eos_id


# === wrong: one token too few | one token is missing
# for: texts = ids.clone
texts = ids.clone()
new_tokens = new_tokens - 1


# === wrong: no copy without new tokens | a copy is asked for
# for: texts = ids.clone
texts = ids


# === wrong: asks once more at the end | calls of next_logits
# for: done = torch.zeros
done = torch.zeros(ids.shape[0], dtype=torch.bool)
next_logits(ids)


# === wrong: row by row | the logits of all rows
# for: scores =
scores = next_logits(texts)
for row in scores:
    choose(row[None])


# === wrong: choose is asked twice | once for each new token
# for: scores =
scores = next_logits(texts)
choose(scores)


# === wrong: floats | int64
# for: texts = torch.cat
texts = torch.cat([texts, token[:, None].float()], dim=1)


# === wrong: argmax in place of choose | choose
# for: token = choose
token = scores.argmax(dim=1)


# === wrong: the prompt is written over | changed its argument
# for: texts = torch.cat
ids[:, 0] = 0
texts = torch.cat([texts, token[:, None]], dim=1)


# === wrong: which rows are finished is noted on the CPU | two devices
# for: done = torch.zeros
done = torch.zeros(ids.shape[0], dtype=torch.bool)
