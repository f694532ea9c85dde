"""The parts of an Excel workbook around its rows (ECMA-376 part 1, chapter 18)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

# Numbers of the cell formats below.
HEADING: Final = 1
TIME: Final = 2
INERT: Final = 3

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# Between texts that are escaped together; none contains it.
_BETWEEN: Final = "\0"
# What XML does not hold, or not as it is, and what looks like its escape already: `_x000D_`.
_UNHELD: Final = re.compile("[\x01-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_TO_THE_WORKBOOK: Final = (
    f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
_STYLES: Final = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" '
    'formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts><fonts count="2"><font><sz val="11"/>'
    '<name val="Calibri"/><family val="2"/></font><font><b/><sz val="11"/><name val="Calibri"/>'
    '<family val="2"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill>'
    '<patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/>'
    '<bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" '
    'borderId="0"/></cellStyleXfs><cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" '
    'xfId="0"/><xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1" '
    'applyAlignment="1"><alignment vertical="top" wrapText="1"/></xf><xf numFmtId="164" fontId="0" '
    'fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="0" fontId="0" '
    'fillId="0" borderId="0" xfId="0" quotePrefix="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" '
    'builtinId="0"/></cellStyles></styleSheet>'
)


@dataclass(slots=True, kw_only=True)
class Sheet:
    """A sheet: its name, and how many columns and rows it has, the headings among them."""

    name: str
    columns: int
    rows: int = 0

    @property
    def area(self) -> str:
        """All its cells: `A1:D20`."""
        return f"A1:{column_name(self.columns - 1)}{self.rows}"

    @property
    def fixed_area(self) -> str:
        """The same as names of a workbook have it: `'messages'!$A$1:$D$20`."""
        return f"'{self.name}'!$A$1:${column_name(self.columns - 1)}${self.rows}"


def column_name(number: int) -> str:
    """`A` for 0, `AA` for 26."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def escaped(texts: Sequence[str]) -> list[str]:
    """The texts as they stand in XML; none may contain U+0000 or half a surrogate pair."""
    joined = _BETWEEN.join(texts)
    joined = joined.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if _UNHELD.search(joined):
        joined = _UNHELD.sub(lambda found: f"_x{ord(found[0]):04X}_", joined)
    return joined.split(_BETWEEN)


def path_of_sheet(number: int) -> str:
    """Where the sheet of this number, from 1, lies in the file."""
    return f"xl/worksheets/sheet{number}.xml"


def sheet_head(widths: Sequence[int], headings: Sequence[str]) -> str:
    """The beginning of a sheet: the first row, which stays in view and has room for two lines."""
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
        for number, width in enumerate(widths, 1)
    )
    cells = "".join(
        f'<c r="{column_name(number)}1" s="{HEADING}" t="inlineStr"><is><t>{text}</t></is></c>'
        for number, text in enumerate(escaped(headings))
    )
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" '
        'topLeftCell="A2" activePane="bottomLeft" state="frozen"/><selection pane="bottomLeft"/></sheetView>'
        f'</sheetViews><sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData>'
        f'<row r="1" ht="45" customHeight="1">{cells}</row>'
    )


def sheet_tail(sheet: Sheet) -> str:
    """The end of a sheet: the filter; and no warning that ids are stored as text, as they should be."""
    return (
        f'</sheetData><autoFilter ref="{sheet.area}"/><pageMargins left="0.7" right="0.7" top="0.75" '
        'bottom="0.75" header="0.3" footer="0.3"/><ignoredErrors>'
        f'<ignoredError sqref="{sheet.area}" numberStoredAsText="1"/></ignoredErrors></worksheet>'
    )


def parts(sheets: Sequence[Sheet]) -> Iterator[tuple[str, str]]:
    """The files beside the sheets, by their paths."""
    yield "[Content_Types].xml", _content_types(len(sheets))
    yield "_rels/.rels", _TO_THE_WORKBOOK
    yield "xl/workbook.xml", _workbook(sheets)
    yield "xl/_rels/workbook.xml.rels", _relations(len(sheets))
    yield "xl/styles.xml", _STYLES


def _content_types(sheets: int) -> str:
    each = "".join(
        f'<Override PartName="/{path_of_sheet(number)}" ContentType="{_TYPE}.worksheet+xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{_TYPE}.sheet.main+xml"/>'
        f'{each}<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/></Types>'
    )


def _workbook(sheets: Sequence[Sheet]) -> str:
    names = "".join(
        f'<sheet name="{sheet.name}" sheetId="{number}" r:id="rId{number}"/>'
        for number, sheet in enumerate(sheets, 1)
    )
    # Some programs see a filter only with this name.
    filters = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{number}" hidden="1">{sheet.fixed_area}'
        "</definedName>"
        for number, sheet in enumerate(sheets)
    )
    return (
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{names}</sheets><definedNames>{filters}</definedNames></workbook>"
    )


def _relations(sheets: int) -> str:
    each = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{each}<Relationship Id="rId{sheets + 1}" '
        f'Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
    )
