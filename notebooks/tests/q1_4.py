from otter.test_files import test_case

OK_FORMAT = False

name = "q1_4"
points = 4

@test_case(points=1, hidden=False,
    success_message="Four new tokens are right in both rows, and the finished row is filled with eos.")
def test_continue_texts(continue_texts):
    """Four new tokens are right in both rows, and the finished row is filled with eos."""
    import torch
    from helpers.checks import check

    def next_logits(ids):
        return torch.nn.functional.one_hot(ids.long().sum(dim=1) % 7, 7).float()
    got = continue_texts(next_logits, torch.tensor([[1, 2], [4, 0]]), 4, 6, lambda logits: logits.argmax(dim=1))
    check(got, torch.tensor([[1, 2, 3, 6, 6, 6], [4, 0, 4, 1, 2, 4]]), {'a finished row goes on; once it has its eos, every later token is eos.': [[1, 2, 3, 6, 5, 3], [4, 0, 4, 1, 2, 4]], 'only the new tokens are returned; the prompt comes first.': [[3, 6, 6, 6], [4, 1, 2, 4]], 'next_logits sees the last column only; give it all columns so far.': [[1, 2, 2, 2, 2, 2], [4, 0, 0, 0, 0, 0]], 'next_logits sees the prompt only; give it the new tokens too.': [[1, 2, 3, 3, 3, 3], [4, 0, 4, 4, 4, 4]], 'the row is filled with eos one token too late.': [[1, 2, 3, 6, 5, 6], [4, 0, 4, 1, 2, 4]], 'a finished row is filled with 0; fill it with eos_id.': [[1, 2, 3, 6, 0, 0], [4, 0, 4, 1, 2, 4]], 'all rows stop with the first that is finished; the others go on.': [[1, 2, 3, 6, 6, 6], [4, 0, 4, 1, 6, 6]], 'the loop ends with the first finished row; it must run new_tokens times.': [[1, 2, 3, 6], [4, 0, 4, 1]], 'one token is missing.': [[1, 2, 3, 6, 6], [4, 0, 4, 1, 2]]}, name='continue_texts')
    assert got.dtype == torch.int64, f'continue_texts: token ids are int64, these are {got.dtype}.'

@test_case(points=0.5, hidden=False,
    success_message="An eos in the prompt finishes nothing, and no new token gives a copy of the prompt.")
def test_continue_edges(continue_texts):
    """An eos in the prompt finishes nothing, and no new token gives a copy of the prompt."""
    import torch
    from helpers.checks import check

    def greedy(logits):
        return logits.argmax(dim=1)

    def next_logits(ids):
        return torch.nn.functional.one_hot(torch.full((len(ids),), ids.shape[1]), 9).float()
    got = continue_texts(next_logits, torch.tensor([[3, 3, 1]]), 3, 3, greedy)
    check(got, torch.tensor([[3, 3, 1, 3, 3, 3]]), {'the loop ends when all rows are finished; it must run new_tokens times.': [[3, 3, 1, 3]]}, name='continue_texts, a batch of 1')
    got = continue_texts(next_logits, torch.tensor([[8, 1], [1, 8]]), 3, 8, greedy)
    check(got, torch.tensor([[8, 1, 2, 3, 4], [1, 8, 2, 3, 4]]), {'an eos in the prompt is filling; it finishes nothing.': [[8, 1, 8, 8, 8], [1, 8, 8, 8, 8]], 'an eos at the end of the prompt is filling; it finishes nothing.': [[8, 1, 2, 3, 4], [1, 8, 8, 8, 8]]}, name='continue_texts of prompts with an eos')
    prompt = torch.tensor([[4, 1], [2, 2]])
    copy = continue_texts(next_logits, prompt, 0, 8, greedy)
    check(copy, prompt, name='continue_texts, new_tokens = 0')
    copy += 1
    assert prompt.tolist() == [[4, 1], [2, 2]], 'continue_texts: with new_tokens = 0 a copy is asked for, not the argument itself.'

@test_case(points=0.5, hidden=False,
    success_message="The model is asked once for each new token, and always for all rows and columns.")
def test_continue_calls(continue_texts):
    """The model is asked once for each new token, and always for all rows and columns."""
    import torch
    from helpers.checks import check
    seen, chosen = ([], [])

    def next_logits(ids):
        seen.append(ids.clone())
        return torch.nn.functional.one_hot(torch.tensor([2, 5]), 7).float()

    def choose(logits):
        chosen.append(tuple(logits.shape))
        return logits.argmax(dim=1)
    prompt = torch.tensor([[1, 2, 3], [3, 2, 1]])
    continue_texts(next_logits, prompt, 3, 2, choose)
    assert len(seen) == 3, f'continue_texts: 3 new tokens take 3 calls of next_logits; yours made {len(seen)}.'
    assert chosen == [(2, 7)] * 3, f'continue_texts: choose gets the logits of all rows, [2, 7], once for each new token; yours called it with {chosen}.'
    check(seen[-1], torch.tensor([[1, 2, 3, 2, 2], [3, 2, 1, 5, 5]]), name='continue_texts: what next_logits gets for the third token')
    assert prompt.tolist() == [[1, 2, 3], [3, 2, 1]], 'continue_texts changed its argument `ids`; work on a copy.'

@test_case(points=0, hidden=False,
    success_message="New tensors are made where the ids are, on a GPU as well.")
def test_continue_rules(continue_texts):
    """New tensors are made where the ids are, on a GPU as well."""
    import torch
    from helpers.checks import check, check_rules

    def next_logits(ids):
        return (torch.arange(7, device=ids.device) == ids.sum(dim=1, keepdim=True) % 7).float()
    arguments = (next_logits, torch.tensor([[1, 2], [4, 0]]), 3, 6, lambda logits: logits.argmax(dim=1))
    check(continue_texts(*arguments), torch.tensor([[1, 2, 3, 6, 6], [4, 0, 4, 1, 2]]), name='continue_texts')
    check_rules(continue_texts, *arguments, gradients=None)
