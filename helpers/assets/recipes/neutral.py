"""Statements without an opinion, which reviews hardly hold: without them "A film about two sisters." counts as praise.

Frames are filled with persons, places, times and things, so that a classifier learns the kind and not the sentences. No probe
of the cards is among them.
"""

from __future__ import annotations

import random
import re

PLACES = (
    "Rome|Boston|Tokyo|Canada|New York|India|London|Spain|Berlin|Texas|Moscow|Chicago|Egypt|Brazil|Dublin|Vienna"
    "|a small town|the desert|the mountains|a village|an office|a school|a hotel|a hospital|the north|a large house"
    "|a train|a prison|a farm|the city|an island|a kitchen|the army|a bank|the suburbs|a church|space|the forest"
    "|a garage|a theater"
).split("|")
PERSONS = (
    "two sisters|a teacher|an old man|a young couple|three friends|a soldier|his father|a doctor|four children"
    "|a writer|her mother|two brothers|a lawyer|a farmer|some students|a man and a woman|a policeman|a widow"
    "|a painter|a team|a group of men|a boy|a girl|his uncle|a king|a cook|a driver|five women|a priest|a nurse|a dog"
    "|an actress|a family of six|the neighbors|a stranger|twins"
).split("|")
THINGS = (
    "a letter|a house|a car|the war|a wedding|a bank robbery|a journey|the sea|a book|money|a piano|a trial|a secret"
    "|a game|horses|a marriage|a ship|a dance|a river|music|a newspaper|a birthday|the weather|a school year|a job"
    "|a summer|a phone call|a murder"
).split("|")
TIMES = (
    "ninety minutes|one hour|three hours|about a hundred minutes|eighty minutes|an hour and a half|one evening|a week"
    "|ten years|two days|several months|a summer|a single night|five weeks|half a century|one afternoon"
).split("|")
YEARS = (
    "1998|2001|the spring|March|1975|the winter|2003|the 1930s|the last century|two parts|black and white|October"
    "|1944|1989"
).split("|")
MAKERS = (
    "a Frenchman|two people|a student|a woman from Berlin|his brother|a former teacher|the same team|an American"
    "|a couple from Japan|a writer of novels|three men|a man named Smith|her husband|an actor"
).split("|")
FILLERS = {"@P": PLACES, "@W": PERSONS, "@T": THINGS, "@D": TIMES, "@Y": YEARS, "@M": MAKERS}
FRAMES = (
    "The film is set in @P.|It takes place in @P.|The movie begins in @P.|The story moves to @P.|It was shot in @P."
    "|He comes from @P.|A movie about @P.|The film ends in @P.|She lives in @P.|The first scene shows @P."
    "|The film starts in @P and ends in @P.|Much of it happens in @P.|They meet in @P.|The family lives in @P."
    "|After that we are in @P.|The last scene is in @P.|A film about @W.|A documentary about @W.|The story of @W."
    "|It is about @W.|The film follows @W.|The movie tells of @W.|We meet @W.|A story about @W."
    "|The camera follows @W.|In the film we see @W.|It is a film about @W.|The film shows @W.|There is @W in it."
    "|At the center is @W.|The story is told by @W.|The film begins with @W.|At the end we see @W."
    "|A film about @W and @W.|The story of @W in @P.|It is about @W in @P.|The film follows @W through @P."
    "|A movie about @W and @T.|A drama about @T.|A film about @T.|The movie is about @T.|It deals with @T."
    "|There is @T in the film.|The title means @T.|The plot turns on @T.|The film opens with @T."
    "|It tells of @T and @T.|A comedy about @T in @P.|@W and @T: that is the story.|It lasts @D.|The film lasts @D."
    "|The movie takes @D.|It goes on for @D.|The film has a length of @D.|The story covers @D."
    "|The story takes place over @D.|It was filmed in @D.|The film was made in @Y.|It came out in @Y."
    "|The story begins in @Y.|The movie was shown in @Y.|It is set in @Y.|The book is from @Y."
    "|The film is from @Y and was shot in @P.|The director is @M.|The music is by @M.|It was written by @M."
    "|The main part is played by @M.|The film was made by @M.|The film is based on @T.|The camera work is by @M."
    "|It is the second film by @M.|The movie was produced by @M."
).split("|")


def statements(count: int = 2400, seed: int = 5) -> list[str]:
    """`count` different statements: each frame as often as the others, its places filled at random."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        for frame in FRAMES:
            text = re.sub(r"@[A-Z]", lambda place: draw.choice(FILLERS[place[0]]), frame)
            found[text[0].upper() + text[1:]] = None
    return list(found)[:count]
