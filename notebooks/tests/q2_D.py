from otter.test_files import test_case

OK_FORMAT = False

name = "q2_D"
points = 2

@test_case(points=0, hidden=False,
    success_message="Question 2.D has four answers, each of them a letter from P to S.")
def test_resetting_form(resetting):
    """Question 2.D has four answers, each of them a letter from P to S."""
    from helpers.checks import check_choices
    check_choices(resetting(), dict.fromkeys('abcd', 'PQRS'), name='resetting')
