"""Words too frequent to tell documents apart, by language."""

_EN = """
a about above after again against all am an and any are as at be because been before being below
between both but by can could did do does doing down during each few for from further had has
have having he her here hers him his how i if in into is it its itself just me more most my no
nor not now of off on once only or other our ours out over own same she should so some such than
that the their theirs them then there these they this those through to too under until up very
was we were what when where which while who whom why will with would you your yours
"""
_DE = """
aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass dein dem den der
des die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen einer
eines er es euer für hatte hatten hat habe haben hier ich ihr ihre im in ist ja jede jedem jeden
jeder jedes kann kein keine mein mit nach nicht noch nun nur ob oder ohne sehr sein seine sich
sie sind so über um und uns unser unter vom von vor war waren was weil wenn wer werden wie
wieder wir wird zu zum zur
"""
_FR = """
à au aux avec ce ces cette dans de des du elle elles en est et eu il ils je la le les leur lui
ma mais me même mes moi mon ne nos notre nous on ou où par pas plus pour qu que qui sa se ses si
son sont sur ta te tes toi ton tu un une vos votre vous y été être était
"""
_ES = """
a al algo como con cuando de del desde donde el ella ellos en entre era eran es esa ese eso esta
este esto están ha había han hasta la las le les lo los más me mi mucho muy no nos o para pero
por porque que quien se ser si sin sobre son su sus también te tiene un una uno unos y ya yo
"""

STOPWORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in (("en", _EN), ("de", _DE), ("fr", _FR), ("es", _ES))
}
