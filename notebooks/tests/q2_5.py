from otter.test_files import test_case

OK_FORMAT = False

name = "q2_5"
points = 3

@test_case(points=1, hidden=False)
def test_gaussian_score_values(gaussian_score):
    import torch
    from helpers.checks import check
    action = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]])
    mean = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    covariance = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    check(gaussian_score(action, mean, covariance), torch.tensor([[0.2, 0.6], [0.0, 0.0], [-1.4, 0.8]]), {'the sign is turned round: the score points from the mean to the action.': [[-0.2, -0.6], [0.0, 0.0], [1.4, -0.8]], 'the covariance must be inverted.': [[4.0, 7.0], [0.0, 0.0], [-3.0, 1.0]], 'this is a - μ; the inverse covariance is missing.': [[1.0, 2.0], [0.0, 0.0], [-2.0, 1.0]], 'only the diagonal of the covariance is used.': [[0.5, 0.6667], [0.0, 0.0], [-1.0, 0.3333]], '1 / Σ divides entry by entry; the formula needs the inverse matrix.': [[2.5, 1.6667], [0.0, 0.0], [0.0, -1.6667]], 'a factor ½ is left over: the derivative of the square gives a 2 that cancels it.': [[0.1, 0.3], [0.0, 0.0], [-0.7, 0.4]], 'a factor 2 is left over: the ½ before the square cancels it.': [[0.4, 1.2], [0.0, 0.0], [-2.8, 1.6]], 'the mean over the batch was taken; the definition has one row for each action.': [[0.0667, 0.2], [0.0, 0.0], [-0.4667, 0.2667]], "this is the score's sum over the numbers of an action; keep them apart.": [0.8, 0.0, -0.6], 'this is the sum over the batch; keep one row for each action.': [-1.2, 1.4], 'the Gaussian was standardised by the Cholesky factor once; the score needs the whole inverse.': [[0.7071, 0.9487], [0.0, 0.0], [-1.4142, 1.2649]]}, name='gaussian_score', atol=0.0002, dtype=torch.float32)
