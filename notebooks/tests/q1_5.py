from otter.test_files import test_case

OK_FORMAT = False

name = "q1_5"
points = 5

@test_case(points=2, hidden=False,
    success_message="The mask marks the generated tokens up to and including the first eos.")
def test_mask_rows(completion_mask):
    """The mask marks the generated tokens up to and including the first eos."""
    import torch
    from helpers.checks import check
    ids = torch.tensor([[9, 9, 5, 6, 2, 2, 2], [9, 5, 6, 7, 8, 7, 8], [2, 2, 5, 2, 7, 2, 8]])
    before = ids.clone()
    all_generated = [0, 0, 0, 1, 1, 1, 1]
    check(completion_mask(ids, 3, 2), torch.tensor([[0, 0, 0, 1, 1, 0, 0], all_generated, [0, 0, 0, 1, 0, 0, 0]]).bool(), {'the prompt is not masked: its tokens must be False.': [[1, 1, 1, 1, 1, 0, 0], [1] * 7, [1, 1, 1, 1, 0, 0, 0]], 'the prompt is not masked, and an eos inside it counts as an end.': [[1, 1, 1, 1, 1, 0, 0], [1] * 7, [1, 0, 0, 0, 0, 0, 0]], 'eos itself belongs to the completion: the first generated eos is True (and an eos inside the prompt is no end).': [[0, 0, 0, 1, 0, 0, 0], all_generated, [0] * 7], 'an eos inside the prompt (it fills up on the left) was taken for the end. Only a generated eos ends the completion.': [[0, 0, 0, 1, 1, 0, 0], all_generated, [0, 0, 0, 0, 0, 0, 0]], 'the mask runs on to the last eos; it ends with the first generated one.': [all_generated, all_generated, [0, 0, 0, 1, 1, 1, 0]], 'the mask runs on to the second eos; it ends with the first, and what stands behind that is False.': [[0, 0, 0, 1, 1, 0, 0], all_generated, [0, 0, 0, 1, 1, 0, 0]], 'the mask does not stop at the first generated eos.': [all_generated, all_generated, all_generated], 'only the eos tokens were taken out. Everything after the first generated eos is False, and this eos itself is True.': [[0, 0, 0, 1, 0, 0, 0], all_generated, [0, 0, 0, 0, 1, 0, 1]], 'the mask begins one position too early: the first generated token is at prompt_length.': [[0, 0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]], 'the mask begins one position too late: the first generated token is at prompt_length.': [[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]], 'the mask begins one position too late: the token at prompt_length is generated.': [[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0]], 'the mask goes one token beyond the first generated eos.': [[0, 0, 0, 1, 1, 1, 0], all_generated, [0, 0, 0, 1, 1, 0, 0]], 'True and False are swapped.': [[1, 1, 1, 0, 0, 1, 1], [1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 1]], 'every row got the end of the first row; each row has its own.': [[0, 0, 0, 1, 1, 0, 0]] * 3, 'the mask marks the prompt instead of the completion.': [[1, 1, 1, 0, 0, 0, 0]] * 3, 'a row without a generated eos is True to its end.': [[0, 0, 0, 1, 1, 0, 0], [0] * 7, [0, 0, 0, 1, 0, 0, 0]], "only the completion's columns came back; the mask has the shape of ids, [B, T].": [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]}, name='completion_mask', dtype=torch.bool)
    assert torch.equal(ids, before), 'completion_mask changed its argument `ids` in place; work on a copy.'

@test_case(points=1, hidden=False,
    success_message="The mask is right for another eos, without an eos, and where nothing is generated.")
def test_mask_other_eos(completion_mask):
    """The mask is right for another eos, without an eos, and where nothing is generated."""
    import torch
    from helpers.checks import check
    ids = torch.tensor([[0, 5, 7, 0, 0]])
    check(completion_mask(ids, 2, 0), torch.tensor([[False, False, True, True, False]]), {'the batch axis is missing: one row gives shape [1, T].': [0, 0, 1, 1, 0], 'eos itself belongs to the completion: the first generated eos is True.': [[0, 0, 1, 0, 0]]}, name='completion_mask (eos_id 0)', dtype=torch.bool)
    check(completion_mask(ids, 2, 6), torch.tensor([[False, False, True, True, True]]), {'eos_id was not used: here the eos is 6, and it does not occur.': [[0, 0, 1, 1, 0]], 'a row without a generated eos is True to its end.': [[0, 0, 0, 0, 0]]}, name='completion_mask (no eos)')
    check(completion_mask(ids, 5, 0), torch.zeros(1, 5).bool(), name='completion_mask (nothing generated)')

@test_case(points=0, hidden=False,
    success_message="The ids of a large vocabulary are told apart.")
def test_mask_large_vocabulary(completion_mask):
    """The ids of a large vocabulary are told apart."""
    import torch
    from helpers.checks import check
    check(completion_mask(torch.tensor([[9, 50255, 50256, 7]]), 1, 50256), torch.tensor([[False, True, True, False]]), {'50255 was taken for the eos 50256: in a vocabulary of 50,257 compare ids as integers.': [[0, 1, 0, 0]]}, name='completion_mask (a large vocabulary)', ordinary=(completion_mask(torch.tensor([[9, 5, 6, 7]]), 1, 6), [[0, 1, 1, 0]]))
