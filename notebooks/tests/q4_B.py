from otter.test_files import test_case

OK_FORMAT = False

name = "q4_B"
points = 3

@test_case(points=0, hidden=False,
    success_message="Question 4.B has six answers, each of them a letter from P to U.")
def test_broken_programs_form(broken_programs):
    """Question 4.B has six answers, each of them a letter from P to U."""
    from helpers.checks import check_choices
    check_choices(broken_programs(), dict.fromkeys('123456', 'PQRSTU'), name='broken_programs')
