"""Folding: processor time per text of common scripts, and of a megabyte of the worst.

python bench/folding.py
"""

import time
from collections.abc import Callable

from inboxsync.store.search import placed_words, terms_of

TEXTS = {
    "English": "Hi, is this still available? I can come on Sunday at 10",
    "Vietnamese": "Chào shop, cho mình hỏi giá sản phẩm này, ship về Đà Lạt mất bao lâu",
    "Thai": "สวัสดีครับ สินค้านี้ราคาเท่าไหร่ มีส่งถึงเชียงใหม่ไหมครับ",
    "Arabic": "مرحبا، كم سعر هذا المنتج وهل يوجد توصيل إلى القاهرة",
    "Japanese": "こんにちは、この商品の価格はいくらですか。ガソリン",
    "Korean": "안녕하세요 가격이 얼마인가요 배송은 언제",
}
LONG = {
    "accents": "a" + "\u0301\u0323" * 500_000,
    "Thai marks": "\u0e01" + "\u0e48\u0e38" * 500_000,
    "marks of half width": "a" + "\uff9e\u0f73" * 500_000,
    "words": "word " * 200_000,
}


def seconds(function: Callable[[str], object], text: str, times: int) -> float:
    """Processor time of one call, the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(times):
            function(text)
        best = min(best, (time.process_time() - began) / times)
    return best


def main() -> None:
    """Print a line for each text."""
    print(f"{'':20} {'words':>12} {'with places':>12}")
    for name, text in TEXTS.items():
        words, places = (seconds(each, text, 2_000) * 1e6 for each in (terms_of, placed_words))
        print(f"{name:20} {words:9.1f} us {places:9.1f} us")
    for name, text in LONG.items():
        words, places = (seconds(each, text, 1) for each in (terms_of, placed_words))
        print(f"{name:20} {words:10.2f} s {places:10.2f} s   {len(text):,} characters")


if __name__ == "__main__":
    main()
