"""Function words: the closed classes of a language, which no heading begins or ends with.

English, German, French, Spanish by list; Chinese, Japanese and Korean by characters and endings. The lists are
joined where languages are mixed: a phrase is only ever refused by them, never made.
"""

from __future__ import annotations

__all__ = ["CJK_FUNCTION_CHARS", "KOREAN_ENDINGS", "LINKS", "NOUN_CUES", "function_words"]

_ENGLISH = """
a about above across after again against all almost alone along already also although always among an and another
any anyone anything are around as at away back be became because become been before began behind being below between
both but by called came can cannot come could did do does doing done down during each either else enough etc even
ever every everyone everything few finally first for found from further gave get gets give given goes going gone got
had has have having he hence her here hers herself him himself his how however i if in indeed instead into is it its
itself just keep kept know known last later least less let like likely long look made make makes making many may me
means might mine more most much must my myself near nearly need needs neither never next no nobody none nor not
nothing now of off often old on once one only onto or other others otherwise our ours out over own per perhaps put
quite rather really said same saw say says second see seem seemed seems seen several shall she should show shown
shows since so some someone something sometimes soon still such take taken takes than that the their theirs them
themselves then there therefore these they thing things this those though three through thus to together too took
toward towards two under unless until up upon us use used uses using usually various very via want was way we well
went were what whatever when where whether which while who whole whom whose why will with within without would yes
yet you your yours ll re ve don doesn didn isn aren wasn weren won can't don't doesn't didn't isn't aren't wasn't
weren't won't it's that's there's
"""
_GERMAN = """
ab aber alle allem allen aller alles als also am an andere anderen anderer auch auf aus bei beim bereits bis bin
bist da dabei dadurch dafür dagegen daher damit danach dann daran darauf darin darum das dass davon davor dazu dein
dem den denn der des deshalb dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch eben ein
eine einem einen einer eines einige einigen er erst es etwa etwas euch euer für ganz gar gegen gibt hat hatte hatten
hab habe haben hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins ist ja je jede jedem
jeden jeder jedes jedoch jetzt kann kein keine keinem keinen keiner konnte können man manche mehr mein mit muss
müssen nach nachdem neben nein nicht nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner
seit seitdem selbst sich sie sind so sogar solche sollte sondern sowie um und uns unser unter viel viele vielen vom
von vor wann war waren warum was weil weiter welche wenn wer werden wie wieder will wir wird wirkte wo wurde wurden
während zu zum zur zwar zwischen über
"""
_FRENCH = """
a afin ai ainsi alors après au aucun aucune aussi autre autres aux avaient avait avant avec avoir beaucoup bien car
ce ceci cela celle celles celui cependant ces cet cette ceux chaque chez comme comment contre d dans de depuis des
dès deux donc dont du durant elle elles en encore enfin entre est et étaient était étant être eu fait faire font fut
furent grâce ici il ils j je l la le les leur leurs lors lorsque lui là m ma mais me même mes moi moins mon n ne ni
non nos notre nous on ont ou où par parce pas pendant peu peut peuvent plus plusieurs pour pourquoi près puis qu
quand que quel quelle quelles quelque quelques qui s sa sans se selon sera ses si soit son sont sous sur t ta tandis
te tels tous tout toute toutes très trop tu un une vers voici voilà vos votre vous y à ça
"""
_SPANISH = """
a al algo algunas algunos ante antes aquel aquella aquellos así aun aunque bajo bien cada casi como con contra cual
cuales cuando cuanto de del desde después donde dos durante e el él ella ellas ellos en entonces entre era eran eres
es esa esas ese eso esos esta está estaba estaban estado estas este esto estos están fue fueron ha había habían hace
hacia han hasta hay la las le les lo los luego más me mi mientras mis mucho muchos muy nada ni no nos nosotros
nuestra nuestro o os otra otras otro otros para pero poco por porque pues que qué quien quienes se sea según ser si
sí sido sin sino sobre son su sus tal también tan tanto te tiene tienen toda todas todo todos tras tu tus u un una
unas uno unos usted ustedes y ya yo
"""

# Words that may stand inside a phrase, between two words that mean something.
LINKS = frozenset(["of", "the", "de", "du", "des", "la", "les", "le", "der", "von", "del", "el", "los", "las"])
_NOUN_CUES = """
a an the of in on at by for with from into between its their his her our your this these that those each every
der die das den dem des ein eine einen einem einer eines im am zum zur vom beim von mit für aus bei ihre seine
le la les l un une des du de au aux d en dans sur par pour avec ce cette ces son sa ses leur leurs
el los las una unos unas del al en con por para su sus este esta estos estas
"""
# Words after which a noun comes, sooner or later in the same group of words.
NOUN_CUES = frozenset(_NOUN_CUES.split())
# Characters with which no Chinese or Japanese phrase begins or ends.
CJK_FUNCTION_CHARS = frozenset(
    "的了是在和与及或就都而也又还很被把从对于这那其之以所为个我你他她它们吗呢吧啊不没有会能要可用将到更最一上下中"
)
# Particles that are cut from the last word of a Korean phrase, longest first.
KOREAN_ENDINGS = (
    "에서는", "으로는", "에게서", "이라는", "에서", "으로", "에게", "까지", "부터", "라는", "이며", "하는",
    "은", "는", "이", "가", "을", "를", "의", "에", "로", "와", "과", "도", "만",
)  # fmt: skip

_BY_LANGUAGE = {
    "en": frozenset(_ENGLISH.split()),
    "de": frozenset(_GERMAN.split()),
    "fr": frozenset(_FRENCH.split()),
    "es": frozenset(_SPANISH.split()),
}
_ALL = frozenset().union(*_BY_LANGUAGE.values())


def function_words(language: str) -> frozenset[str]:
    """The function words of a language, case-folded; those of all lists together for another language."""
    return _BY_LANGUAGE.get(language.split("-")[0].lower(), _ALL)
