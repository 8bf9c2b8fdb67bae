"""Pronoun: the words with which a sentence leans on the one before it, by language."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OPENERS", "Openers"]


@dataclass(frozen=True)
class Openers:
    """`words`, separated by commas, stand at a sentence's head; `unless` is a pattern of what only looks like
    one. `spaced`: a word must end where the opener ends."""

    words: str
    unless: str = ""
    spaced: bool = True


OPENERS = {
    "en": Openers(
        "it, its, it's, he, he's, she, she's, they, they're, his, her, hers, their, theirs, him, them, this, "
        "these, that, that's, those, such, however, therefore, thus, hence, but, and, so, or, nor, yet, "
        "moreover, furthermore, also, in addition, additionally, then, consequently, accordingly, as a result, "
        "as such, as a consequence, nevertheless, nonetheless, instead, otherwise, on the other hand, "
        "on the contrary, in contrast, by contrast, conversely, for example, for instance, similarly, likewise, "
        "meanwhile, afterwards, afterward, thereafter, again, in fact, indeed, still, secondly, second, thirdly, "
        "third, fourth, finally, lastly, next, of these, of those, of them, in this case, in that case, "
        "in these cases, at that time, at this time, at this point, because of this, because of that, "
        "after that, after this, before that, in other words, that is, to this end, for this reason, "
        "for that reason, for these reasons, in this way, in that way, in turn, the former, the latter, "
        "the other, the others, others, another, both, either, neither, the same, in particular, specifically, "
        "namely, besides, even so, even then, too, rather, more importantly, to do so, to do this, doing so, "
        "in doing so, by doing so, by doing this, here, there he, there she, there it, there they, from there, "
        "until then, since then, by then, in short, in sum, overall, in conclusion, all of this, all this, "
        "all of these, all these, what's more, as for, not only that, despite this, despite that, with this, "
        "with that, without this, if so, if not, at the same time, in either case, in both cases, this time, "
        "that way, this way, to illustrate, one example",
        unless=r"that (?=the|a|an|no|every)\b|those who\b|second (?:world|only)|third (?:world|parties|party)"
        r"|so[- ]called|her majesty|his majesty|both (?:the )?\w+ and |either (?:the )?\w+ or "
        r"|neither (?:the )?\w+ nor ",
    ),
    "de": Openers(
        "er, sie, es, ihm, ihn, ihnen, ihr, ihre, ihrem, ihren, ihrer, sein, seine, seinem, seinen, seiner, "
        "seines, dies, diese, dieser, dieses, diesem, diesen, jene, jener, jenes, jenen, deren, dessen, "
        "derselbe, dieselbe, dasselbe, daher, deshalb, darum, deswegen, dann, danach, dabei, dadurch, damit, "
        "dafür, dagegen, daraus, darin, darauf, daran, davon, davor, dazu, darüber, darunter, dahinter, daneben, "
        "demnach, dementsprechend, infolgedessen, doch, aber, jedoch, allerdings, außerdem, zudem, überdies, "
        "auch, und, oder, sondern, denn, so, somit, folglich, trotzdem, dennoch, gleichwohl, hingegen, "
        "stattdessen, ebenso, ebenfalls, gleichzeitig, ferner, weiterhin, zum beispiel, beispielsweise, "
        "so zum beispiel, beide, beides, letztere, letzterer, letzteres, erstere, ersterer, ersteres, solche, "
        "solcher, solches, solch, hier, dort, dorthin, also, hierbei, hierfür, hierzu, hiermit, seitdem, "
        "seither, anschließend, zuvor, schließlich, zweitens, drittens, andererseits, einerseits, "
        "im gegensatz dazu, mit anderen worten, das heißt, insbesondere, nämlich, vielmehr, inzwischen, "
        "währenddessen, später, noch, nur so, aus diesem grund, in diesem fall, zu diesem zweck, "
        "auf diese weise, bis dahin, von dort, da, alle diese, all das, all dies",
        unless=r"ihr (?:könnt|habt|seid)|so genannt|und so weiter|da(?= (?:das|die|der|ein|eine|im)\b)",
    ),
    "fr": Openers(
        "il, elle, ils, elles, ce, c'est, c’est, c'était, c’était, ceci, cela, ça, cette, cet, ces, celui, "
        "celle, ceux, celles, celui-ci, celle-ci, ceux-ci, celles-ci, mais, et, ou, donc, or, car, puis, "
        "ensuite, alors, ainsi, cependant, toutefois, pourtant, néanmoins, en effet, par exemple, de plus, "
        "en outre, par ailleurs, d'ailleurs, d’ailleurs, enfin, aussi, son, sa, ses, leur, leurs, y, "
        "en revanche, au contraire, lui, eux, tous deux, toutes deux, c'est pourquoi, c’est pourquoi, "
        "par conséquent, en conséquence, dès lors, de même, de ce fait, pour cela, pour cette raison, "
        "à ce moment, à cette époque, dans ce cas, là, c'est-à-dire, autrement dit, l'un, l’un, l'une, l’une, "
        "l'autre, l’autre, les deux, ce dernier, cette dernière, ces derniers, d'autre part, d’autre part, "
        "au lieu de cela, malgré cela, après cela, ici, deuxièmement, troisièmement, inversement, de là, "
        "depuis lors, un tel, une telle, de tels, de telles, tout cela",
    ),
    "es": Openers(
        "él, ella, ellos, ellas, ello, esto, eso, aquello, este, esta, estos, estas, ese, esa, esos, esas, "
        "aquel, aquella, aquellos, aquellas, su, sus, pero, y, e, o, sino, además, también, tampoco, "
        "sin embargo, no obstante, por lo tanto, por tanto, por eso, por ello, por esta razón, por esto, así, "
        "entonces, luego, después, en cambio, por ejemplo, es decir, o sea, ambos, ambas, dicho, dicha, dichos, "
        "dichas, tal, tales, de ahí, aun así, allí, allá, ahí, aquí, en consecuencia, asimismo, finalmente, "
        "por último, por otra parte, por otro lado, en segundo lugar, en efecto, de hecho, al contrario, "
        "mientras tanto, lo mismo, la misma, el mismo, los mismos, las mismas, este último, esta última, "
        "desde entonces, hasta entonces, a continuación, en este caso, en ese caso, de este modo, "
        "de esta manera, de esta forma, con ello, para ello, fue, era, fueron, eran, tenía, tenían, estaba, "
        "estaban, aunque esto, todo esto, todo ello",
        unless=r"este (?:de|del)\b|y/o|así como\b|(?:fue|era) (?:en|el|la)\b",
    ),
    "zh": Openers(
        "它, 他, 她, 它们, 他们, 她们, 它們, 他們, 她們, 这, 這, 那, 此, 该, 該, 其, 因此, 因而, 所以, 但, 但是, "
        "然而, 不过, 不過, 而, 而且, 并且, 並且, 于是, 於是, 然后, 然後, 接着, 接著, 同时, 同時, 另外, 此外, "
        "例如, 比如, 譬如, 也, 还, 還, 又, 则, 則, 否则, 否則, 从而, 從而, 那么, 那麼, 可是, 之后, 之後, 随后, "
        "隨後, 后来, 後來, 以上, 前者, 后者, 後者, 相反, 同样, 同樣, 再, 其中, 换句话说, 換句話說, 总之, 總之, "
        "由此, 最后, 最後, 其次, 反之, 甚至, 并, 並, 且, 故, 对此, 對此, 为此, 為此, 当时, 當時, 以此, 如此, "
        "与此, 與此, 除此",
        unless=r"其实|其實|其他|其它|也许|也許|还是|還是|再见|再見|而今|他乡|此刻|并非|並非|此类|再生|又名|又称"
        r"|那不勒斯|这里是|其余|并发|並發|还原|還原|故事|故障|故宫|故宮|故乡|故鄉|且慢|最后一|最後一|他山"
        r"|则天",
        spaced=False,
    ),
    "ja": Openers(
        "これ, それ, あれ, この, その, あの, ここ, そこ, こう, そう, こんな, そんな, しかし, だが, でも, けれど, "
        "また, さらに, 更に, そして, だから, したがって, 従って, ですから, ところが, ところで, 一方, なお, "
        "ただし, ただ、, 例えば, たとえば, つまり, すなわち, よって, ゆえに, 彼, 同様に, 次に, すると, とはいえ, "
        "むしろ, なぜなら, というのも, 前者, 後者, 同じく, おまけに, ちなみに, ですが, だけど, じゃあ, とにかく, "
        "両者, 他方, 逆に, そもそも, 要するに, もっとも、, しかも, かつ, それから, それで, そのため, その後, "
        "最後に, で、, が、, なので, とりわけ, あるいは, または",
        unless=r"また[がたぐ]|この(?:世|間、)|その(?:日暮|場し)|彼岸|でもない|あの世|そう言えば",
        spaced=False,
    ),
    "ko": Openers(
        "그는, 그가, 그의, 그를, 그에게, 그녀, 그들, 그것, 그러나, 하지만, 그리고, 그런데, 그래서, 따라서, "
        "그러므로, 또한, 또 , 또는, 게다가, 즉 , 즉, 예를 들어, 예컨대, 반면, 한편, 이에 , 이로 , 이처럼, 이때, "
        "그때, 그곳, 이곳, 여기, 거기, 그렇지만, 그래도, 이후, 그 , 이 , 이는 , 이를 , 이것, 저것, 이런 , 그런 , "
        "이러한, 그러한, 다만, 왜냐하면, 이와 , 이들, 이렇게, 그렇게, 그 결과, 결국, 마찬가지로, 반대로, 더구나, "
        "둘째, 셋째, 마지막으로, 그다음, 다음으로, 이어서, 이어 , 그 후, 그러면, 그럼, 이 때문에, 그 때문에, "
        "이밖에, 이 밖에, 요컨대",
        spaced=False,
    ),
}
