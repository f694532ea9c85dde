"""A labelled set of texts: what of each is a phone number or an e-mail address.

Written by hand from what people write beside numbers and addresses in many scripts. Each entry: the text, the
region, and what is right (numbers as of E.164, addresses in lower case).
"""

Labelled = tuple[str, str | None, tuple[str, ...]]

ANN = ("ann@example.com",)
VN = ("+84901234567",)
JP = ("+819012345678",)
CN = ("+8613800138000",)
TWO = ("+84901234567", "+84912345678")

ADDRESSES: tuple[Labelled, ...] = (
    ("我的邮箱是ann@example.com谢谢", None, ANN),
    ("微信13800138000，邮箱ann@example.com。", None, ANN),
    ("メールはann@example.comです", None, ANN),
    ("ann@example.comまで", None, ANN),
    ("메일 ann@example.com로 보내주세요", None, ANN),
    ("ann@example.comค่ะ", None, ANN),
    ("ann@example.comहै", None, ANN),
    ("почтаann@example.com", None, ANN),
    ("البريدann@example.com", None, ANN),
    ("電郵ann@example.com電話0912345678", "TW", ("ann@example.com", "+886912345678")),
    ("ann@example.com.Thanks", None, ANN),
    ("ann@example.com.thanks", None, ANN),
    ("ann@example.com.Cảm ơn", None, ANN),
    ("ann@example.com.谢谢", None, ANN),
    ("Email:ann@example.com-SĐT:0901234567", "VN", ("ann@example.com", *VN)),
    ("ann@example.com_", None, ANN),
    ("ann@example.com...ok", None, ANN),
    ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", None, ANN),
    ("ann@example。com", None, ANN),
    ("ann@example｡com", None, ANN),
    ("josé@exemple.fr", None, ("josé@exemple.fr",)),
    ("ann@exämple.de", None, ("ann@exämple.de",)),
    ("用户@例子.公司", None, ("用户@例子.公司",)),
    ("ann@例子.com", None, ("ann@例子.com",)),
    ("ann@mail.shop.com.vn", None, ("ann@mail.shop.com.vn",)),
    ("ANN@SHOP.COM.VN", None, ("ann@shop.com.vn",)),
    ("ann@my-shop.co.uk", None, ("ann@my-shop.co.uk",)),
    ("ann@gmail.com,bob@gmail.com", None, ("ann@gmail.com", "bob@gmail.com")),
    ("https://a.example/x。邮箱bob@example.com", None, ("bob@example.com",)),
    ("https://medium.com/x@y.com", None, ()),
    ("ann@ex_ample.com", None, ()),
    ("Saturday @ 9 pm.", "US", ()),
    ("account@localhost", None, ()),
    ("0901234567@example.com", "VN", ("0901234567@example.com",)),
)

NUMBERS: tuple[Labelled, ...] = (
    ("０９０－１２３４－５６７８", "JP", JP),
    ("090−1234−5678", "JP", JP),
    ("090ー1234ー5678", "JP", JP),
    ("090（1234）5678", "JP", JP),
    ("0901\u200b234\u200b567", "VN", VN),
    ("0901\u00ad234\u2060567", "VN", VN),
    ("0901\u2009234\u2009567", "VN", VN),
    ("0901\u202f234\u202f567", "VN", VN),
    ("0️⃣9️⃣0️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣", "VN", VN),
    ("٠٩٠١٢٣٤٥٦٧", "VN", VN),
    ("\u202a+84 901 234 567\u202c", None, VN),
    ("sdt0901234567", "VN", VN),
    ("sdt=0901234567", "VN", VN),
    ("đt_0901234567", "VN", VN),
    ("0901234567nha", "VN", VN),
    ("0901234567-0912345678", "VN", TWO),
    ("0901.234.567 - 0912.345.678", "VN", TWO),
    ("0901234567/0912345678", "VN", TWO),
    ("①0901234567②0912345678", "VN", TWO),
    ("010-1234-5678입니다", "KR", ("+821012345678",)),
    ("微信:13800138000", "CN", CN),
    ("8 (912) 345-67-89", "RU", ("+79123456789",)),
    ("0171.1234567", "DE", ("+491711234567",)),
    ("Bitte anrufen: 030 1234567", "DE", ("+49301234567",)),
    ("030 1234567 am 03.05.1987", "DE", ("+49301234567",)),
    ("06.12.34.56.78", "FR", ("+33612345678",)),
    ("06-12-34-56-78", "FR", ("+33612345678",)),
    ("612.345.678", "ES", ("+34612345678",)),
    ("20 26 13 52", "DK", ("+4520261352",)),
    ("212.736.5000", "US", ("+12127365000",)),
    ("+84 (0) 901 234 567", None, VN),
)

LINKS: tuple[Labelled, ...] = (
    ("见https://a.example/x，电话+8613800138000", None, CN),
    ("https://a.example/x【13800138000】", "CN", CN),
    ("https://a.example/x、0901234567", "VN", VN),
    ("https://shop.example/item1โทร+66812345678", None, ("+66812345678",)),
    ("https://maps.example/AbC(+84901234567)", None, VN),
    ("https://a.example/?x=1,sđt:0901234567", "VN", VN),
    ("https://zalo.me/84901234567", None, VN),
    ("zalo.me/0901234567", None, VN),
    ("https://www.wa.me/84901234567?text=0912345678", "VN", VN),
    ("https://api.whatsapp.com/send?text=hi&phone=84901234567", None, VN),
    ("https://t.me/+84901234567", None, VN),
    ("https://t.me/84901234567", "VN", ()),
    ("https://shop.example/p/0901234567", "VN", ()),
    ("shop.example/p/0901234567", "VN", ()),
    ("www.shop.example/0901234567", "VN", ()),
    ("https://a.example/x,0901234567.html", "VN", ()),
)

OTHERS: tuple[Labelled, ...] = (
    ("Mein Sohn ist am 03.05.1987 geboren", "DE", ()),
    ("Tisch für 04.06-07.06 bitte", "DE", ()),
    ("geöffnet 03.08.15-04.08.15?", "DE", ()),
    ("1. 2. 2026 - 3. 4. 2026", "FI", ()),
    ("03 05 1987", "DE", ()),
    ("2026-01-02", "DK", ()),
    ("2015-2016", "DK", ()),
    ("03/2015 – 03/2016", "MX", ()),
    ("08.30-17.30", "NZ", ()),
    ("2026-11-26 10:30:11", "VN", ()),
    ("12.500.000 €", "DE", ()),
    ("1.250.000 đ, 12.500.000 đ", "VN", ()),
    ("Rp 81.234.567", "ID", ()),
    ("Bestellnummer 0171 1234567", "DE", ()),
    ("order no. 0171 1234567", "DE", ()),
    ("order #0901234567", "VN", ()),
    ("My account number is  351531510.", "VN", ()),
    ("mã vận đơn: 0901234567", "VN", ()),
    ("订单号13800138000", "CN", ()),
    ("m_0901234567", "VN", ()),
    ("4111 1111 1111 1111", "SG", ()),
    ("ping 130.239.18.172", "US", ()),
    ("1680 x 1050", "DE", ()),
    ("DE89 3704 0044 0532 0130 00", "DE", ()),
)

ALL: tuple[Labelled, ...] = ADDRESSES + NUMBERS + LINKS + OTHERS
