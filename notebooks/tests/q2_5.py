from otter.test_files import test_case

OK_FORMAT = False

name = "q2_5"
points = 3

@test_case(points=1, hidden=False,
    success_message="The score of three actions is right.")
def test_gaussian_score_values(gaussian_score):
    """The score of three actions is right."""
    import torch
    from helpers.checks import check
    action = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]])
    mean = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    covariance = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    check(gaussian_score(action, mean, covariance), torch.tensor([[0.2, 0.6], [0.0, 0.0], [-1.4, 0.8]]), {'the sign is turned round: the score points from the mean to the action.': [[-0.2, -0.6], [0.0, 0.0], [1.4, -0.8]], 'the covariance must be inverted.': [[4.0, 7.0], [0.0, 0.0], [-3.0, 1.0]], 'this is a - μ; the inverse covariance is missing.': [[1.0, 2.0], [0.0, 0.0], [-2.0, 1.0]], 'only the diagonal of the covariance is used.': [[0.5, 0.6667], [0.0, 0.0], [-1.0, 0.3333]], '1 / Σ divides entry by entry; the formula needs the inverse matrix.': [[2.5, 1.6667], [0.0, 0.0], [0.0, -1.6667]], 'a factor ½ is left over: the derivative of the square gives a 2 that cancels it.': [[0.1, 0.3], [0.0, 0.0], [-0.7, 0.4]], 'a factor 2 is left over: the ½ before the square cancels it.': [[0.4, 1.2], [0.0, 0.0], [-2.8, 1.6]], 'the mean over the batch was taken; the definition has one row for each action.': [[0.0667, 0.2], [0.0, 0.0], [-0.4667, 0.2667]], "this is the score's sum over the numbers of an action; keep them apart.": [0.8, 0.0, -0.6], 'this is the sum over the batch; keep one row for each action.': [-1.2, 1.4], 'the Gaussian was standardised by the Cholesky factor once; the score needs the whole inverse.': [[0.7071, 0.9487], [0.0, 0.0], [-1.4142, 1.2649]], 'action and mean are added; the score is Σ⁻¹ times their difference.': [[0.2, 0.6], [0.0, 0.0], [-0.2, 0.4]], 'the mean is not subtracted from the action.': [[0.2, 0.6], [0.0, 0.0], [-0.8, 0.6]], 'the action is missing: the score is Σ⁻¹(a - μ).': [[0.0, 0.0], [0.0, 0.0], [-0.6, 0.2]], 'this is Σ⁻¹μ; the score is Σ⁻¹(a - μ).': [[0.0, 0.0], [0.0, 0.0], [0.6, -0.2]], 'the inverse is applied twice.': [[0.0, 0.2], [0.0, 0.0], [-1.0, 0.6]], 'the inverse of Σ is divided by det Σ once more, or the determinant is used in another way.': [[0.04, 0.12], [0.0, 0.0], [-0.28, 0.16]], 'this is the adjugate of Σ times the difference; divide by det Σ.': [[1.0, 3.0], [0.0, 0.0], [-7.0, 4.0]], 'the correlation has the wrong sign: the inverse of Σ has -1, not 1, beside its diagonal here.': [[1.0, 1.0], [0.0, 0.0], [-1.0, 0.0]], 'this is the squared distance of each number, not the score.': [[0.2, 1.2], [0.0, 0.0], [2.8, 0.8]]}, name='gaussian_score', atol=0.0002, dtype=torch.float32)

@test_case(points=0, hidden=False,
    success_message="One action of one number keeps its axes, and arguments, dtypes and gradients are kept.")
def test_gaussian_score_rules(gaussian_score):
    """One action of one number keeps its axes, and arguments, dtypes and gradients are kept."""
    import torch
    from helpers.checks import check, check_rules
    check(gaussian_score(torch.tensor([[2.0]]), torch.tensor([[0.0]]), torch.tensor([[4.0]])), torch.tensor([[0.5]]), {'a batch of 1 keeps its shape [B, D]: do not squeeze.': 0.5}, name='gaussian_score of one number')
    check_rules(gaussian_score, torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.5]]), torch.tensor([[2.0, 1.0], [1.0, 3.0]]), gradients=(0, 1))
