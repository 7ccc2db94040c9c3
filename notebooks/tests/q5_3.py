from otter.test_files import test_case

OK_FORMAT = False

name = "q5_3"
points = 3

@test_case(points=1, hidden=False,
    success_message="The differences of three prompts are right.")
def test_three_prompts(logit_difference):
    """The differences of three prompts are right."""
    import torch
    from helpers.checks import check
    logits = torch.tensor([[1.0, 2.0, 4.0, 0.5], [0.0, -1.0, 3.0, 2.0], [5.0, 0.0, 1.0, 2.5]])
    got = logit_difference(logits, torch.tensor([2, 0, 3]), torch.tensor([1, 3, 0]))
    check(got, torch.tensor([2.0, -2.0, -2.5]), {'the sign is reversed: logit(IO) minus logit(S).': torch.tensor([-2.0, 2.0, 2.5]), 'this is the logit of IO alone; that of S is not subtracted.': torch.tensor([4.0, 0.0, 2.5]), 'this is the difference of probabilities, not of logits: no softmax here.': torch.tensor([0.7115, -0.2215, -0.8291]), 'every prompt has its own names: row b belongs with io_ids[b] and s_ids[b], not each row with all ids.': torch.tensor([[2.0, 0.5, -0.5], [4.0, -2.0, 2.0], [1.0, 2.5, -2.5]]), "the first row's logits were used for all prompts.": torch.tensor([2.0, 0.5, -0.5]), "the first prompt's names were used for all prompts.": torch.tensor([2.0, 4.0, 1.0]), 'one number for each prompt is asked for; this is their mean.': torch.tensor(-0.8333333), 'one number for each prompt is asked for; this is their sum.': torch.tensor(-2.5), 'the result has the shape [B, 1]; asked for is [B].': torch.tensor([[2.0], [-2.0], [-2.5]]), 'the size of the difference is not asked for, but the difference with its sign.': torch.tensor([2.0, 2.0, 2.5]), 'this is the highest logit minus that of S; take that of the IO name.': torch.tensor([2.0, 1.0, 0.0])}, name='logit_difference', dtype=torch.float32)

@test_case(points=0, hidden=False,
    success_message="Large logits and a large vocabulary are used as they are, and all rules are kept.")
def test_difference_rules(logit_difference):
    """Large logits and a large vocabulary are used as they are, and all rules are kept."""
    import torch
    from helpers.checks import check, check_rules
    logits, io_id, s_id = (torch.arange(50257.0)[None], torch.tensor([50000]), torch.tensor([3]))
    check(logit_difference(logits, io_id, s_id), torch.tensor([49997.0]), {'ids above 2,047 are clamped; a large vocabulary has more words.': [2044.0], 'large logits are cut off; they may be as large as 1e4.': lambda got: bool((got > 0) & (got < 49997))}, name='logit_difference with a vocabulary of 50,257 words', ordinary=(logit_difference(logits[:, :9], s_id + 4, s_id), [4.0]))
    check_rules(logit_difference, torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([2]), torch.tensor([0]))
