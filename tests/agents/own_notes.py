"""Notes written for the tests, one in each language that the writer promises; Markdown, with what notes have."""

from __future__ import annotations

import hashlib

from agents.notes.document import read_document
from interleaf.schema import Outline, OutlineSection, SourceText
from interleaf.text import fold_space

ENGLISH = """# The tide mill

The tide mill at Ferry Creek was built in 1761 on a narrow inlet of the river. It took the sea itself as its miller's
boy. Twice a day the flood filled a pond behind a clay dam, and twice a day the ebb let it go. The miller, therefore,
worked by the moon and not by the clock.

## The dam

The dam is 140 metres long and carries a cart track on its crown. Its core is puddled clay between two rows of oak
piles. In the storm of January 1881 the sea cut through it near the sluice. The breach was closed in eleven days by
forty men from the village, who were paid in flour. However, the new clay never became as tight as the old.

Three things kill a clay dam:

- moles and rats, which dig
- roots, which follow the water
- neglect, which is the worst of them

Nobody who has walked the crown in winter will forget the sound of the water below. A dam breathes with the tide.
Engineers measured the seepage in 1932 and found four litres a second. That was less than anyone had feared.

## The wheel

An undershot wheel of oak and elm, 5.4 metres across, drove three pairs of stones. It turned about six times a minute
at spring tide. The paddles were renewed every nine years, the shaft only once, in 1840. The shaft came from a wrecked
brig. See Figure 7 for the shaft before its repair.

> The wheel groaned like a cow in calf, and we slept the better for it.

As the table below shows, spring tides gave nearly twice the work of neap tides.

| Tide | Hours of work | Sacks |
|---|---|---|
| spring | 7 | 19 |
| neap | 4 | 10 |

The last miller, Thomas Rowe, stopped the wheel on 3 May 1936. He said that bread had become too white to be worth the
trouble. His daughter kept the stones, the books and the key.

## The mill today

Today the mill is a field station for students of the marsh. They count worms, weigh mud and read the old tide books.
The pond has become a roost for curlew and redshank. The mill at Ferry Creek was built in 1761 on a narrow inlet of
the river. A new sluice was hung in 2009, made by hand after the drawings of 1761. Visitors may work it at the top of
the flood.
"""

GERMAN = """# Die Salzwiese

Die Salzwiese vor dem Deich ist weder Land noch Meer. Sie wird im Jahr etwa 150-mal überflutet. Auf den ersten Blick
wirkt sie eintönig, d. h. grün und flach. Wer sich bückt, findet jedoch auf einem Quadratmeter z. B. Queller,
Strandaster und Andelgras. Im 19. Jahrhundert mähten die Bauern hier Heu.

## Pflanzen

Der Queller keimt schon am 3. April und steht bis zum Hals im Salz. Er speichert Wasser in dicken Gliedern. Die
Strandaster wirft ihre salzigen Blätter einfach ab. Das spart Kraft. Andelgras dagegen scheidet das Salz durch Drüsen
aus, die man mit der Lupe sieht. Daher glitzern die Halme am Morgen.

Drei Zonen lassen sich unterscheiden:

1. die Quellerzone, täglich überflutet
2. die Andelzone, bei Springflut überflutet
3. die Rotschwingelzone, nur bei Sturm überflutet

## Vögel

Im Herbst rasten Ringelgänse auf der Wiese. Sie fressen rund um die Uhr und brechen dann nach Sibirien auf. Der
Rotschenkel brütet im hohen Gras und warnt alle Nachbarn. Dr. Petersen zählte 1998 ca. 40 Paare, u. a. am alten Siel.
Seither ist die Zahl gestiegen. Ein Weg aus Bohlen führt seit 2004 durch das Gebiet. Er schützt die Nester.
"""

FRENCH = """# Le four du village

Le four banal de Saint-Aubin fut construit vers 1620, à l'entrée du village. M. Garnier, son dernier fournier, y cuisait
encore le pain en 1951. La voûte est faite de briques posées sans mortier. Elle garde la chaleur pendant trois jours.

## Le feu

On allume le feu la veille avec des fagots de châtaignier. Les fagots brûlent vite et laissent peu de cendre. Quand la
voûte blanchit, le four est prêt. Cela prend environ six heures. Le fournier balaie alors la sole avec un linge mouillé.
« Le four est comme un âne », disait-il. « Il faut le chauffer doucement. »

Pour une fournée, il faut :

- douze fagots secs
- un seau d'eau
- de la patience

## Le pain

La pâte repose sur des linges de lin pendant la nuit. Chaque famille marque ses miches d'une croix ou d'un épi. Ainsi
personne ne se trompe. Le pain de seigle reste dans le four une heure et demie, p. ex. les miches de trois
kilos. Ensuite
viennent les tartes aux pommes, puis les poires à sécher. Aujourd'hui le four sert deux fois par an, à la fête
de juin et
à la Toussaint.
"""

SPANISH = """# El reloj de sol

El reloj de sol de la plaza lo trazó el Sr. Olmedo en 1789. Está grabado en una losa de pizarra de metro y medio. La
sombra de una varilla de bronce marca las horas solares. Estas difieren de las del reloj hasta dieciséis minutos.

## La varilla

La varilla, llamada gnomon, apunta a la estrella polar. Su inclinación es igual a la latitud del lugar, es decir, 42,5
grados. Un rayo la dobló en 1903. El herrero la enderezó en frío, sin quitarla de la pared. Desde entonces el reloj
adelanta unos dos minutos. Nadie en el pueblo ha querido corregirlo.

Para leer la hora hacen falta tres cosas:

- un cielo despejado
- la tabla de la pared
- algo de tiempo

## Las líneas

Las líneas de las horas se abren como un abanico. La curva central señala los equinoccios. «Solo cuento las horas
serenas», dice la inscripción. El pintor Ibáñez repasó las cifras en 1956 con pigmento rojo. Los niños aprenden aquí por
qué el sol no es puntual. Por eso la escuela visita la plaza cada septiembre.
"""

CHINESE = """# 村里的水碓

村口的水碓建于1764年，靠一条小溪推动。它有四个木锤，每个重三十多斤。
溪水推着水轮慢慢转动，木锤便一起一落。“听见碓声，就知道要下雨了。”老人们这样说。
因为水大了，碓声就急。

## 水轮

水轮用老樟木做成，直径大约三米。樟木不怕水，也不怕虫。每隔八年要换一次叶板。
换叶板的日子全村人都来帮忙。因此水轮从来没有停过一个冬天。

水碓主要用来做三件事：

- 舂米
- 捣纸浆
- 碾药材

## 造纸

造纸用的是当年的嫩竹。竹子先在石灰水里泡一百天，然后蒸煮两天两夜。
水碓把竹料捣成细细的纸浆。匠人用竹帘把纸浆捞起来，一张一张地压干。
那时候一天能做八百张纸。如今只有一户人家还在造纸。他们的纸专门用来修补古书。2011年，水碓被列为县里的保护文物。
"""

JAPANESE = """# 棚田の水

谷の奥の棚田は、江戸時代の終わりに石を積んで作られた。全部で二百三十枚ある。いちばん小さい田は畳三枚ほどの広さしかない。
水は山の湧き水を竹の樋で引いている。「水は上から順番に使うものだ。」と祖父は言った。

## 水番

夏のあいだ、村では毎晩ひとりが水番に立つ。水番は夜中に二度、すべての水口を見て回る。
雨の少ない年には、一枚の田に入れる水の時間を線香で計った。
そのため、線香番とも呼ばれていた。いまでは時計を使うが、名前だけは残っている。

水番の持ち物は次の通り：

- 提灯
- 鍬
- 帳面

## 石垣

石垣は毎年の冬に積み直す。大きな石を下に置き、すきまには小石を詰める。
しかし、詰めすぎると水が抜けず、石垣はふくらんで崩れる。
石工の山田さんは七十年間、この石垣を守ってきた。
若い人が三人、去年から習い始めた。秋には稲を刈り、はざに掛けて二週間干す。
"""

KOREAN = """# 섬의 염전

섬의 염전은 1948년에 주민들이 손으로 둑을 쌓아 만들었다. 그것은 모두 마흔두 칸으로 나뉘어 있다.
바닷물은 한 칸씩 내려가며 점점 짜진다.
"소금은 하늘이 만든다."라고 어른들은 말했다. 사람은 다만 물길을 열고 닫을 뿐이다.

## 바람과 볕

소금꽃은 맑은 날 오후 세 시쯤 피기 시작한다. 바람이 약하면 결정이 굵어지고 바람이 세면 잘아진다.
그래서 염부는 아침마다 깃발을 본다.
비가 오기 전에 짠물은 지붕이 있는 구덩이로 옮긴다. 한번 젖은 소금판은 이틀을 말려야 한다.

염전에서 쓰는 도구는 다음과 같다:

- 대파
- 수차
- 소금 수레

## 창고

창고는 소나무로 지었고 못을 쓰지 않았다. 쇠는 소금 앞에서 오래 버티지 못하기 때문이다. 소금은 이곳에서 삼 년 동안 간수를
뺀다.
간수가 빠진 소금은 손에 쥐어도 묻어나지 않는다. 지금은 여섯 가구가 염전을 지키고 있다. 2015년부터는 아이들이 체험 학습을
온다.
"""

NOTES = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "zh": CHINESE,
    "ja": JAPANESE,
    "ko": KOREAN,
}


def as_source(text: str, media_type: str = "text/markdown") -> SourceText:
    """A note as the workflow reads it."""
    return SourceText.model_validate(
        {
            "id": "s-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16],
            "name": "note",
            "media_type": media_type,
            "text": text,
        }
    )


def outline_by_headings(source: SourceText, length_words: int | None) -> Outline:
    """A section for each heading of the note, the opening under the title without one; equal lengths."""
    groups: list[list[int]] = [[]]
    document = read_document(source)
    for k, block in enumerate(document.blocks):
        if block.kind == "heading":
            groups.append([])
        groups[-1].append(k)
    sections = []
    for group in groups:
        blocks = [document.blocks[k] for k in group]
        if all(block.kind == "heading" for block in blocks):
            continue
        head = blocks[0] if blocks[0].kind == "heading" else None
        shown = head if head is not None and head.level > 1 else None
        sections.append(
            OutlineSection(
                heading=fold_space(shown.text) if shown else "",
                heading_span=shown.span if shown else None,
                material=tuple(block.span for block in blocks if block is not head),
            )
        )
    share = None if length_words is None else max(1, length_words // len(sections))
    sections = [section.model_copy(update={"length_words": share}) for section in sections]
    return Outline(title=document.title, sections=tuple(sections))
