from otter.test_files import test_case

OK_FORMAT = False

name = "q4_C"
points = 2

@test_case(points=0, hidden=False,
    success_message="Question 4.C has a letter from A to D, and four plain numbers.")
def test_what_training_does_form(what_training_does):
    """Question 4.C has a letter from A to D, and four plain numbers."""
    from helpers.checks import check_choices
    choices = {'start': None, 'gap': 'ABCD', 'margin': None, 'loss': None, 'change': None}
    check_choices(what_training_does(), choices, name='what_training_does')
