from otter.test_files import test_case

OK_FORMAT = False

name = "q1_1"
points = 2

@test_case(points=1, hidden=False)
def test_picture_lower_half(picture_words):
    """Blanks A to E."""
    from helpers.baseline import transformer_picture
    transformer_picture.require(picture_words(), 'ABCDE')

@test_case(points=1, hidden=False)
def test_picture_upper_half(picture_words):
    """Blanks F to J."""
    from helpers.baseline import transformer_picture
    transformer_picture.require(picture_words(), 'FGHIJ')
