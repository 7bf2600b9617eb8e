"""Words whose period the Penn Treebank's tokenizer keeps, in the cases in which it keeps them."""

from __future__ import annotations

# Some are abbreviations in any case, some only where they begin with a capital ("will wash." says no state).
_IN_ANY_CASE = """
    ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq feb fla fri ga inc ind
    intl jan jr jul jun kans? ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn plc rd rt sep sept sr sys
    tenn thu thurs tue tues univ va vt wed wisc? wyo al est etc ext seq sq tel
"""
_CAPITALIZED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"

ABBREVIATIONS = " ".join(
    [
        f"(?i:{'|'.join(_IN_ANY_CASE.split())})",
        *(f"{name}|{name.upper()}" for name in _CAPITALIZED.split()),
        "[Pp]te|[Pp]ty",
    ]
)
"""Months, days, states, firms and the like, as alternatives of a pattern."""

TITLES = """
    adm attys? ave brig capt c?omdr cmdr col cpl dept det drs? ft gen govs? hon lieut lt maj messrs mr mrs ms mt pfc ph
    pres profs? pvt reps? rev sens? sgt spc st ste supts? vs cf mfg natl assoc asst adj adv ens insp mlle mme msgr sfc
    wm
"""

BEFORE_NUMBERS = "nos? prop ca figs? art pp op"

SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Mr\\. Ms\\.
    Now Once One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You
"""
"""Words before which a single letter with a period ends a sentence and is no abbreviation."""
