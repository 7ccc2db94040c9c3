from otter.test_files import test_case

OK_FORMAT = False

name = "q3_D"
points = 2

@test_case(points=0, hidden=False,
    success_message="Question 3.D has two letters from A to D, and two plain numbers.")
def test_k3_in_the_loss_form(k3_in_the_loss):
    """Question 3.D has two letters from A to D, and two plain numbers."""
    from helpers.checks import check_choices
    choices = {'divergence': 'ABCD', 'reverse': None, 'forward': None, 'change': 'ABCD'}
    check_choices(k3_in_the_loss(), choices, name='k3_in_the_loss')
